//! Finding an event's record in a partition without an index.
//!
//! A partition begins somewhere, and each record holds the seq behind the highest one before it, or repeats an older one
//! (a relay that started again, or two at once). So with `first(s)` for the first record of a seq:
//!
//! - `first(w) <= o - (s - w)` for any record `(o, s)` with `s >= w`: repeats only push records towards the end.
//! - If the first record at or behind an offset `a` with a seq of at least `w` is not `w` itself, `first(w) < a`: else the
//!   records from `a` on would come to `w` before they pass it.
//!
//! Each look at the partition finds `w` or moves the bound, so the search ends: at the record, or at the beginning.

use sluice_schema::position::Seq;

use super::record::Place;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Go on with the next record.
    Next,
    /// Read from this offset on.
    Jump(i64),
    /// This record is the one.
    Found,
    /// It is gone; what is after this seq is there.
    Gone(Seq),
}

/// A search for the record of `wanted`.
#[derive(Debug)]
pub(super) struct Seek {
    wanted: Seq,
    /// The partition's first offset.
    low: i64,
    /// `first(wanted)` is before it.
    bound: i64,
    /// Where the present look began.
    at: i64,
    stride: i64,
    /// The seq at which the partition passed `wanted`, as far to the front as was seen.
    passed: Seq,
    /// Records behind the bound that were looked at all the same.
    beyond: usize,
}

/// How many records behind the bound are looked at.
const BEYOND: usize = 10_000;

impl Seek {
    /// `low..high` are the partition's offsets, `known` is any record of it, and `head` its highest seq.
    pub(super) fn new(wanted: Seq, low: i64, high: i64, known: Option<Place>, head: Seq) -> Self {
        let known = known.unwrap_or(Place { offset: high - 1, seq: 0 });
        let seek = Self { wanted, low, bound: high, at: low, stride: 1, passed: head + 1, beyond: 0 };
        match back(known, wanted) {
            Some(at) => Self { bound: (at + 1).min(high), at: at.clamp(low, (high - 1).max(low)), ..seek },
            None => Self { at: known.offset.clamp(low, (high - 1).max(low)), ..seek },
        }
    }

    /// Where to begin.
    pub(super) fn at(&self) -> i64 {
        self.at
    }

    /// Takes the next record.
    pub(super) fn saw(&mut self, record: Place) -> Step {
        if record.seq == self.wanted {
            return Step::Found;
        }
        let upper = back(record, self.wanted);
        if upper.is_some() {
            self.passed = record.seq;
        }
        if record.offset >= self.bound && !self.may_go_beyond() {
            return self.ended();
        }
        match upper {
            None => Step::Next,
            Some(upper) => self.step_back(upper.min(self.at - 1)),
        }
    }

    /// From the beginning it reads on for a while, in case that events were never relayed: those before such a hole are
    /// further on than the bound has it.
    fn may_go_beyond(&mut self) -> bool {
        self.beyond += 1;
        self.at <= self.low && self.beyond <= BEYOND
    }

    /// There is nothing more before the bound.
    pub(super) fn ended(&mut self) -> Step {
        let to = self.at - self.stride;
        self.stride = self.stride.saturating_mul(2);
        self.step_back(to)
    }

    fn step_back(&mut self, to: i64) -> Step {
        if self.at <= self.low {
            return Step::Gone(self.passed - 1);
        }
        self.bound = self.at;
        self.at = to.max(self.low);
        Step::Jump(self.at)
    }
}

/// The last offset at which the first record of `wanted` can be, told by a record that is not before it.
fn back(record: Place, wanted: Seq) -> Option<i64> {
    let distance = record.seq.checked_sub(wanted)?;
    Some(record.offset.saturating_sub_unsigned(distance))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a partition holds: offsets from `low`, the seqs of its records.
    #[derive(Debug)]
    struct Partition {
        low: usize,
        seqs: Vec<Seq>,
    }

    impl Partition {
        /// Runs of relays: each goes back behind its start, then on. Two runs may be interleaved.
        fn of(base: Seq, runs: &[(u64, u64, bool)], low: prop::sample::Index) -> Self {
            let mut seqs = Vec::new();
            let mut head = base;
            for (back, length, twice) in runs {
                let from = head.saturating_sub(*back).max(base);
                let last_head = head;
                for seq in from + 1..=from + length {
                    seqs.push(seq);
                    head = head.max(seq);
                    // A second relay, behind the first.
                    if *twice && seq % 3 == 0 && seq > 7 + base && seq - 7 <= last_head {
                        seqs.push(seq - 7);
                    }
                }
            }
            Self { low: low.index(seqs.len()), seqs }
        }

        fn head(&self) -> Seq {
            self.seqs.iter().copied().max().unwrap_or(0)
        }

        /// Runs a search as the catch-up consumer does; also how many records it looked at.
        fn find(&self, wanted: Seq, known: Option<usize>) -> (Result<usize, Seq>, usize) {
            let known = known.map(|offset| Place { offset: offset as i64, seq: self.seqs[offset] });
            let mut seek = Seek::new(wanted, self.low as i64, self.seqs.len() as i64, known, self.head());
            let mut at = seek.at() as usize;
            for looked in 0..100_000 {
                let step = match self.seqs.get(at) {
                    Some(seq) => seek.saw(Place { offset: at as i64, seq: *seq }),
                    None => seek.ended(),
                };
                match step {
                    Step::Next => at += 1,
                    Step::Jump(to) => at = to as usize,
                    Step::Found => return (Ok(at), looked),
                    Step::Gone(earliest) => return (Err(earliest), looked),
                }
            }
            panic!("the search does not end");
        }
    }

    prop_compose! {
        fn partition()(
            base in prop_oneof![Just(0u64), 0..1000u64],
            runs in prop::collection::vec((0..40u64, 1..60u64, any::<bool>()), 1..12),
            low: prop::sample::Index,
        ) -> Partition {
            Partition::of(base, &runs, low)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn finds_each_event_that_is_there(partition in partition(), known in prop::option::of(any::<prop::sample::Index>())) {
            let kept = &partition.seqs[partition.low..];
            let known = known.map(|known| partition.low + known.index(kept.len()));
            for wanted in 1..=partition.head() {
                let first = partition.seqs.iter().position(|seq| *seq == wanted);
                match partition.find(wanted, known).0 {
                    Ok(at) => prop_assert!(at >= partition.low && partition.seqs[at] == wanted),
                    Err(earliest) => {
                        // Its first record is gone. A stray repeat of it may be left, from which nothing leads on.
                        prop_assert!(first.is_none_or(|first| first < partition.low), "{} is at {:?}", wanted, first);
                        prop_assert!(earliest >= wanted);
                        prop_assert!(earliest == partition.head() || kept.contains(&(earliest + 1)));
                    }
                }
            }
        }
    }

    #[test]
    fn without_repeats_the_first_look_finds_it() {
        let partition = Partition { low: 0, seqs: (1..=1000).collect() };
        for wanted in [1, 2, 500, 999, 1000] {
            assert_eq!(partition.find(wanted, Some(999)), (Ok(wanted as usize - 1), 0));
        }
    }

    #[test]
    fn without_repeats_what_is_gone_is_told_exactly() {
        for low in [1, 2, 500, 999] {
            let partition = Partition { low, seqs: (1..=1000).collect() };
            for wanted in 1..=low as Seq {
                let (found, looked) = partition.find(wanted, Some(999));
                assert!(found == Err(low as Seq) && looked <= 2, "{wanted}: {found:?} after {looked}");
            }
        }
    }

    #[test]
    fn what_is_before_a_hole_is_found() {
        let partition = Partition { low: 0, seqs: (1..=10).chain(21..=30).collect() };
        for wanted in (1..=10).chain(21..=30) {
            let offset = if wanted > 20 { wanted - 11 } else { wanted - 1 };
            assert_eq!(partition.find(wanted, Some(19)).0, Ok(offset as usize));
        }
        for wanted in 11..=20 {
            assert_eq!(partition.find(wanted, Some(19)).0, Err(20));
        }
    }

    #[test]
    fn a_few_looks_are_enough_behind_repeats() {
        let seqs: Vec<Seq> = (1..=5000).chain(4000..=9000).chain(8500..=20_000).collect();
        let partition = Partition { low: 0, seqs };
        let last = partition.seqs.len() - 1;
        for wanted in 1..=20_000 {
            let (found, looked) = partition.find(wanted, Some(last));
            assert!(found.is_ok() && looked <= 3, "{wanted}: {found:?} after {looked}");
        }
    }
}
