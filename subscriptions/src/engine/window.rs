//! The events that a shard routed last, in its order, found by what their channels begin with: who comes back after a
//! moment reads here what concerns it, and not what concerns all others.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use hashbrown::HashMap;
use sluice_schema::{
    channel::ChannelPattern,
    event::RecordedEvent,
    position::{Partition, Position, ReadVector},
};

/// How many events are remembered at most, and about how much they may take. The log's own memory has most of them too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { events: 32_768, bytes: 32 << 20 }
    }
}

pub(super) struct Window {
    bounds: Bounds,
    bytes: usize,
    /// Everything that `head` covers and this does not is in `events`.
    start: ReadVector,
    head: ReadVector,
    events: VecDeque<Kept>,
    /// The number of the first of them; each has the next one.
    first: u64,
    /// The newest of each thread.
    newest: HashMap<Thread, u64>,
    hashes: RandomState,
}

struct Kept {
    event: Arc<RecordedEvent>,
    thread: Thread,
    /// The one before it of the same thread; it may be forgotten by now.
    before: Option<u64>,
}

/// Those events of one partition whose channels begin alike, by a hash: two may share one, and the pattern tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Thread(u64);

/// How many events are looked through at most for a pattern that has no stem.
const LOOKED_THROUGH: usize = 1024;

/// How many segments make a stem, such as `/members/m-1`.
const STEM: usize = 2;

/// What the channels have in common that a pattern matches; `None`: there are wildcards in that.
fn stem_of_pattern(pattern: &ChannelPattern) -> Option<&str> {
    let stem = stem(pattern.as_str());
    let is_whole = stem.len() == pattern.as_str().len();
    let is_long = stem.matches('/').count() == STEM;
    (!stem.contains('*') && (is_long || is_whole)).then_some(stem)
}

fn stem(path: &str) -> &str {
    path.match_indices('/').nth(STEM).map_or(path, |(end, _)| &path[..end])
}

impl Window {
    pub(super) fn new(start: ReadVector, bounds: Bounds) -> Self {
        Self {
            bounds,
            bytes: 0,
            head: start.clone(),
            start,
            events: VecDeque::new(),
            first: 0,
            newest: HashMap::new(),
            hashes: RandomState::new(),
        }
    }

    /// Everything that it covers was pushed, or was there before.
    pub(super) fn head(&self) -> &ReadVector {
        &self.head
    }

    pub(super) fn push(&mut self, event: Arc<RecordedEvent>) {
        let Position { partition, seq, .. } = event.position;
        self.head.advance(partition, seq);
        self.bytes += event.size();
        let thread = self.thread(&event.header.tenant, stem(&event.header.channel), partition);
        let before = self.newest.insert(thread, self.first + self.events.len() as u64);
        self.events.push_back(Kept { event, thread, before });
        while self.events.len() > self.bounds.events || self.bytes > self.bounds.bytes {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(Kept { event, thread, .. }) = self.events.pop_front() else { return };
        self.bytes -= event.size();
        self.start.advance(event.position.partition, event.position.seq);
        if self.newest.get(&thread) == Some(&self.first) {
            self.newest.remove(&thread);
        }
        self.first += 1;
    }

    /// What a reader at `vector` has yet to see of a tenant's events that `is_wanted`, in routing order. All of those are
    /// matched by `pattern`. `None`: it is too far behind, or there are more than `most`.
    pub(super) fn behind(
        &self,
        (tenant, pattern): (&str, &ChannelPattern),
        vector: &ReadVector,
        most: usize,
        is_wanted: impl Fn(&RecordedEvent) -> bool,
    ) -> Option<Vec<Arc<RecordedEvent>>> {
        if !vector.covers(&self.start) {
            return None;
        }
        let mut numbers = match stem_of_pattern(pattern) {
            Some(stem) => self.on_threads(tenant, stem, vector),
            None => self.all(vector)?,
        };
        numbers.retain(|number| self.kept(*number).is_some_and(|kept| is_wanted(&kept.event)));
        if numbers.len() > most {
            return None;
        }
        numbers.sort_unstable();
        Some(numbers.into_iter().filter_map(|number| self.kept(number)).map(|kept| kept.event.clone()).collect())
    }

    fn on_threads(&self, tenant: &str, stem: &str, vector: &ReadVector) -> Vec<u64> {
        let mut numbers = Vec::new();
        for (partition, seq) in vector.partitions().filter(|(partition, seq)| self.head.get(*partition) > *seq) {
            let mut next = self.newest.get(&self.thread(tenant, stem, partition)).copied();
            // Within a partition the older has the lower number.
            while let Some((number, kept)) = next.and_then(|number| Some((number, self.kept(number)?))) {
                next = kept.before;
                // Another partition's, whose hash is the same.
                if kept.event.position.partition != partition {
                    continue;
                }
                if kept.event.position.seq <= seq {
                    break;
                }
                numbers.push(number);
            }
        }
        numbers
    }

    /// All that `vector` does not cover, from the newest on; `None` where that is too much to look through while the shard
    /// waits.
    fn all(&self, vector: &ReadVector) -> Option<Vec<u64>> {
        let ahead: u64 = vector.partitions().map(|(at, seq)| self.head.get(at).saturating_sub(seq)).sum();
        let ahead = usize::try_from(ahead).ok().filter(|ahead| *ahead <= LOOKED_THROUGH)?;
        let is_ahead = |kept: &Kept| kept.event.position.seq > vector.get(kept.event.position.partition);
        let newest_first = (0..self.events.len()).rev().map(|at| (self.first + at as u64, &self.events[at]));
        Some(newest_first.filter(|(_, kept)| is_ahead(kept)).take(ahead).map(|(number, _)| number).collect())
    }

    fn kept(&self, number: u64) -> Option<&Kept> {
        self.events.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn thread(&self, tenant: &str, stem: &str, partition: Partition) -> Thread {
        Thread(self.hashes.hash_one((tenant, stem, partition)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};
    use sluice_schema::{channel::Channel, position::Epoch, proto::header::Header, sealed::Sealed};

    use super::*;

    const PARTITIONS: Partition = 3;

    fn event(partition: Partition, seq: u64, (tenant, channel): (&str, &str)) -> Arc<RecordedEvent> {
        let position = Position { epoch: Epoch(1), partition, seq };
        let header = Header { tenant: tenant.into(), channel: channel.into(), ..Header::default() };
        Arc::new(RecordedEvent { position, version: 1, header, payload: Sealed(Vec::new().into()) })
    }

    fn place() -> impl Strategy<Value = (&'static str, &'static str)> {
        (select(vec!["acme", "other"]), select(vec!["/a", "/a/b", "/a/b/c", "/a/b/c/d", "/a/c", "/b/c/a", "/a/bb"]))
    }

    fn pattern() -> impl Strategy<Value = ChannelPattern> {
        let all =
            vec!["/**", "/a", "/a/*", "/a/**", "/a/b", "/a/b/*", "/a/b/**", "/a/b/c", "/*/c/*", "/a/*/c", "/b/c/**"];
        select(all).prop_map(|text| text.parse().expect("a pattern"))
    }

    proptest! {
        #[test]
        fn has_what_a_scan_of_everything_would_find(
            places in vec((0..PARTITIONS, place()), 0..60),
            events in 1..40_usize,
            bytes in 10..60_usize,
            pattern in pattern(),
            seen in vec(0..20_u64, usize::from(PARTITIONS)),
            most in 0..30_usize,
        ) {
            let bounds = Bounds { events, bytes: bytes * event(0, 1, ("acme", "/a/b")).size() };
            let mut window = Window::new(ReadVector::start(PARTITIONS), bounds);
            let mut routed: Vec<Arc<RecordedEvent>> = Vec::new();
            for (partition, place) in places {
                let event = event(partition, window.head().get(partition) + 1, place);
                window.push(event.clone());
                routed.push(event);
            }
            let kept = events.min(bytes).min(routed.len());
            let vector = ReadVector(seen);
            let is_behind = |event: &&Arc<RecordedEvent>| event.position.seq > vector.get(event.position.partition);
            let is_wanted = |event: &RecordedEvent| {
                let channel: Channel = event.header.channel.parse().expect("a channel");
                event.header.tenant == "acme" && pattern.matches(&channel)
            };
            let forgotten = routed[..routed.len() - kept].iter().filter(is_behind).count();
            let wanted: Vec<_> =
                routed.iter().filter(is_behind).filter(|event| is_wanted(event)).map(|event| event.position).collect();
            let found = window.behind(("acme", &pattern), &vector, most, is_wanted);
            let found = found.map(|found| found.iter().map(|event| event.position).collect::<Vec<_>>());
            prop_assert_eq!(found, (forgotten == 0 && wanted.len() <= most).then_some(wanted));
            prop_assert!(window.newest.len() <= window.events.len(), "nothing is kept of what is forgotten");
        }
    }
}
