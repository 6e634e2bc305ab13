//! The newest events of each partition, in memory: what readers at the head ask for.

use std::{collections::VecDeque, sync::Arc};

use sluice_schema::{
    event::RecordedEvent,
    position::{Partition, Seq},
};

/// A dense run of events up to the head, for each partition.
pub(crate) struct Window {
    partitions: Vec<Recent>,
    max_events: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct Recent {
    events: VecDeque<Arc<RecordedEvent>>,
    bytes: usize,
}

impl Window {
    /// Bounds are for each partition.
    pub(crate) fn new(partitions: Partition, max_events: usize, max_bytes: usize) -> Self {
        let partitions = (0..partitions).map(|_| Recent::default()).collect();
        Self { partitions, max_events, max_bytes }
    }

    /// Takes the event behind the partition's last one. One that is further on begins the run anew.
    pub(crate) fn push(&mut self, event: Arc<RecordedEvent>) {
        let Some(recent) = self.partitions.get_mut(usize::from(event.position.partition)) else { return };
        if recent.events.back().is_some_and(|last| last.position.seq + 1 != event.position.seq) {
            *recent = Recent::default();
        }
        recent.bytes += event.size();
        recent.events.push_back(event);
        while recent.events.len() > self.max_events || recent.bytes > self.max_bytes {
            let Some(oldest) = recent.events.pop_front() else { return };
            recent.bytes -= oldest.size();
        }
    }

    /// Takes an event that is not in order with others: one that is further on than the partition's last, or the first.
    pub(crate) fn offer(&mut self, event: &Arc<RecordedEvent>) {
        let last = self.partitions.get(usize::from(event.position.partition)).and_then(|recent| recent.events.back());
        if last.is_none_or(|last| last.position.seq < event.position.seq) {
            self.push(event.clone());
        }
    }

    /// Up to `limit` events above `after`; `None` where the next one is not (or no longer) in here.
    pub(crate) fn read(&self, partition: Partition, after: Seq, limit: usize) -> Option<Vec<Arc<RecordedEvent>>> {
        let events = &self.partitions.get(usize::from(partition))?.events;
        let first = events.front()?.position.seq;
        let skip = usize::try_from((after + 1).checked_sub(first)?).ok()?;
        (skip < events.len()).then(|| events.iter().skip(skip).take(limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use sluice_schema::{
        position::{Epoch, Position},
        proto::header::Header,
        sealed::Sealed,
    };

    use super::*;

    fn event(seq: Seq, bytes: usize) -> Arc<RecordedEvent> {
        let position = Position { epoch: Epoch(1), partition: 0, seq };
        let payload = Sealed(vec![0; bytes].into());
        Arc::new(RecordedEvent { position, version: 1, header: Header::default(), payload })
    }

    fn seqs(window: &Window, after: Seq, limit: usize) -> Option<Vec<Seq>> {
        Some(window.read(0, after, limit)?.iter().map(|event| event.position.seq).collect())
    }

    #[test]
    fn answers_just_what_it_holds_without_a_hole() {
        let mut window = Window::new(1, 3, usize::MAX);
        assert_eq!(seqs(&window, 0, 9), None);
        (11..=15).for_each(|seq| window.push(event(seq, 1)));
        assert_eq!(seqs(&window, 11, 9), None, "12 was pushed out");
        assert_eq!(seqs(&window, 12, 9), Some(vec![13, 14, 15]));
        assert_eq!(seqs(&window, 13, 1), Some(vec![14]));
        assert_eq!(seqs(&window, 15, 9), None);
        assert_eq!(window.read(1, 0, 9).map(|events| events.len()), None, "there is no such partition");
    }

    #[test]
    fn a_jump_begins_anew() {
        let mut window = Window::new(1, 9, usize::MAX);
        [11, 12, 20, 21].into_iter().for_each(|seq| window.push(event(seq, 1)));
        assert_eq!(seqs(&window, 10, 9), None);
        assert_eq!(seqs(&window, 12, 9), None, "nothing is said of what was jumped over");
        assert_eq!(seqs(&window, 19, 9), Some(vec![20, 21]));
    }

    #[test]
    fn what_it_has_is_not_begun_anew_by_what_is_behind_it() {
        let mut window = Window::new(1, 9, usize::MAX);
        [11, 12, 3, 4, 12, 13].into_iter().for_each(|seq| window.offer(&event(seq, 1)));
        assert_eq!(seqs(&window, 10, 9), Some(vec![11, 12, 13]));
        window.offer(&event(20, 1));
        assert_eq!((seqs(&window, 12, 9), seqs(&window, 19, 9)), (None, Some(vec![20])));
    }

    #[test]
    fn large_events_push_out_more() {
        let mut window = Window::new(1, 100, 10_000);
        (1..=5).for_each(|seq| window.push(event(seq, 4_000)));
        assert_eq!(seqs(&window, 4, 9), Some(vec![5]));
        assert_eq!(seqs(&window, 3, 9), None);
        window.push(event(6, 20_000));
        assert_eq!(seqs(&window, 5, 9), None, "one that is too large is not kept at all");
        window.push(event(7, 1));
        assert_eq!(seqs(&window, 6, 9), Some(vec![7]));
    }
}
