//! How far a worker is when events end out of order.

use std::collections::BTreeSet;

use sluice_schema::position::{Partition, ReadVector, Seq};

/// For each partition what was begun, and what of it is not done.
pub(super) struct Marks {
    begun: ReadVector,
    open: Vec<BTreeSet<Seq>>,
}

impl Marks {
    pub(super) fn new(start: ReadVector) -> Self {
        let open = vec![BTreeSet::new(); start.0.len()];
        Self { begun: start, open }
    }

    pub(super) fn begin(&mut self, partition: Partition, seq: Seq) {
        self.begun.advance(partition, seq);
        if let Some(open) = self.open.get_mut(usize::from(partition)) {
            open.insert(seq);
        }
    }

    pub(super) fn finish(&mut self, partition: Partition, seq: Seq) {
        if let Some(open) = self.open.get_mut(usize::from(partition)) {
            open.remove(&seq);
        }
    }

    /// Everything up to here is done.
    pub(super) fn checkpoint(&self) -> ReadVector {
        let marks =
            self.begun.0.iter().zip(&self.open).map(|(begun, open)| open.first().map_or(*begun, |first| first - 1));
        ReadVector(marks.collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_passes_what_is_not_done(order in Just((1..=20u64).collect::<Vec<_>>()).prop_shuffle(), done in 0usize..=20) {
            let mut marks = Marks::new(ReadVector::start(1));
            (1..=20).for_each(|seq| marks.begin(0, seq));
            order[..done].iter().for_each(|seq| marks.finish(0, *seq));
            let expected = order[done..].iter().min().map_or(20, |first| first - 1);
            prop_assert_eq!(marks.checkpoint(), ReadVector(vec![expected]));
        }
    }
}
