//! Runs of events that were read again not long ago: those who resume from about the same place share them.

use std::{collections::VecDeque, sync::Arc};

use sluice_schema::{
    event::RecordedEvent,
    position::{Partition, Seq},
};

use crate::kafka::record::Place;

/// A dense run of one partition, at least one event.
pub(super) struct Block {
    events: Vec<Arc<RecordedEvent>>,
    bytes: usize,
    /// Where its last record is.
    end: Place,
}

impl Block {
    const MAX_EVENTS: usize = 512;
    const MAX_BYTES: usize = 2 << 20;

    pub(super) fn begin(event: Arc<RecordedEvent>, place: Place) -> Self {
        Self { bytes: event.size(), events: vec![event], end: place }
    }

    /// Takes the event behind the last one.
    pub(super) fn push(&mut self, event: Arc<RecordedEvent>, place: Place) {
        self.bytes += event.size();
        self.events.push(event);
        self.end = place;
    }

    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= Self::MAX_EVENTS || self.bytes >= Self::MAX_BYTES
    }

    pub(super) fn end(&self) -> Place {
        self.end
    }

    fn is_of(&self, partition: Partition) -> bool {
        self.events.first().is_some_and(|event| event.position.partition == partition)
    }

    pub(super) fn read(&self, partition: Partition, after: Seq, limit: usize) -> Option<Vec<Arc<RecordedEvent>>> {
        let first = self.events.first().filter(|_| self.is_of(partition))?;
        let skip = usize::try_from((after + 1).checked_sub(first.position.seq)?).ok()?;
        (skip < self.events.len()).then(|| self.events.iter().skip(skip).take(limit).cloned().collect())
    }
}

/// The last ones used, up to a bound in bytes.
#[derive(Default)]
pub(super) struct Blocks {
    /// The last used one is the last.
    blocks: VecDeque<Block>,
    bytes: usize,
}

impl Blocks {
    const MAX_BYTES: usize = 8 << 20;
    const MAX_BLOCKS: usize = 64;

    pub(super) fn read(&mut self, partition: Partition, after: Seq, limit: usize) -> Option<Vec<Arc<RecordedEvent>>> {
        let (at, events) = self
            .blocks
            .iter()
            .enumerate()
            .rev()
            .find_map(|(at, block)| Some((at, block.read(partition, after, limit)?)))?;
        if let Some(used) = self.blocks.remove(at) {
            self.blocks.push_back(used);
        }
        Some(events)
    }

    pub(super) fn insert(&mut self, block: Block) {
        self.bytes += block.bytes;
        self.blocks.push_back(block);
        // One that is larger than the bound by itself is dropped at once.
        while self.bytes > Self::MAX_BYTES || self.blocks.len() > Self::MAX_BLOCKS {
            let Some(oldest) = self.blocks.pop_front() else { return };
            self.bytes -= oldest.bytes;
        }
    }

    /// Where to look for `wanted`: behind the event before it, or else back from the nearest one behind it.
    pub(super) fn leading_to(&self, partition: Partition, wanted: Seq) -> Option<Place> {
        let ends = || self.blocks.iter().filter(|block| block.is_of(partition)).map(Block::end);
        match ends().find(|end| end.seq + 1 == wanted) {
            Some(before) => Some(Place { offset: before.offset + 1, ..before }),
            None => ends().filter(|end| end.seq >= wanted).min_by_key(|end| end.seq),
        }
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

    fn event(partition: Partition, seq: Seq, bytes: usize) -> Arc<RecordedEvent> {
        let position = Position { epoch: Epoch(1), partition, seq };
        let payload = Sealed(vec![0; bytes].into());
        Arc::new(RecordedEvent { position, version: 1, header: Header::default(), payload })
    }

    /// Offsets are ten behind the seqs.
    fn block(partition: Partition, seqs: std::ops::RangeInclusive<Seq>, bytes: usize) -> Block {
        let place = |seq: Seq| Place { offset: seq as i64 + 10, seq };
        let first = *seqs.start();
        let mut block = Block::begin(event(partition, first, bytes), place(first));
        seqs.skip(1).for_each(|seq| block.push(event(partition, seq, bytes), place(seq)));
        block
    }

    fn seqs(blocks: &mut Blocks, partition: Partition, after: Seq, limit: usize) -> Option<Vec<Seq>> {
        Some(blocks.read(partition, after, limit)?.iter().map(|event| event.position.seq).collect())
    }

    #[test]
    fn answers_from_the_block_that_holds_the_next_event() {
        let mut blocks = Blocks::default();
        blocks.insert(block(0, 11..=20, 1));
        blocks.insert(block(1, 1..=5, 1));
        blocks.insert(block(0, 41..=45, 1));
        assert_eq!(seqs(&mut blocks, 0, 10, 3), Some(vec![11, 12, 13]));
        assert_eq!(seqs(&mut blocks, 0, 43, 9), Some(vec![44, 45]));
        assert_eq!(seqs(&mut blocks, 0, 9, 3), None);
        assert_eq!(seqs(&mut blocks, 0, 20, 3), None);
        assert_eq!(seqs(&mut blocks, 1, 4, 3), Some(vec![5]));
    }

    #[test]
    fn the_last_used_stay() {
        let mut blocks = Blocks::default();
        let large = Blocks::MAX_BYTES / 3;
        blocks.insert(block(0, 1..=1, large));
        blocks.insert(block(0, 2..=2, large));
        assert!(seqs(&mut blocks, 0, 0, 1).is_some());
        blocks.insert(block(0, 3..=3, large));
        assert_eq!(seqs(&mut blocks, 0, 1, 1), None, "the least used one made room");
        assert!(seqs(&mut blocks, 0, 0, 1).is_some() && seqs(&mut blocks, 0, 2, 1).is_some());
    }

    #[test]
    fn leads_on_behind_the_event_before() {
        let mut blocks = Blocks::default();
        blocks.insert(block(0, 11..=20, 1));
        blocks.insert(block(0, 41..=45, 1));
        assert_eq!(blocks.leading_to(0, 21), Some(Place { offset: 31, seq: 20 }));
        assert_eq!(blocks.leading_to(0, 30), Some(Place { offset: 55, seq: 45 }));
        assert_eq!(blocks.leading_to(0, 46), Some(Place { offset: 56, seq: 45 }));
        assert_eq!(blocks.leading_to(0, 60), None);
        assert_eq!(blocks.leading_to(1, 21), None);
    }
}
