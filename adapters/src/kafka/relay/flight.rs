//! What was sent and is not confirmed yet, and how much more may be.

use std::collections::VecDeque;

use sluice_schema::position::{Partition, Seq};

/// Bounds of one partition: a leader that is away holds up its own partition and this much memory.
const MAX_RECORDS: usize = 1024;
const MAX_BYTES: usize = 1 << 20;

/// Where a session begins in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    /// Everything up to here is in the topic.
    pub(super) seq: Seq,
    /// The first offset that a new record can get.
    pub(super) offset: i64,
}

/// What a confirmation shows to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Astray {
    /// The record is not the oldest that waits.
    OutOfOrder,
    /// The record got an offset that was given to another one before: this is another topic.
    OffsetWentBack,
}

/// Records in flight, by partition.
pub(super) struct Flight(Vec<Lane>);

struct Lane {
    sent: Seq,
    waiting: VecDeque<(Seq, usize)>,
    bytes: usize,
    next_offset: i64,
}

impl Flight {
    pub(super) fn new(starts: &[Start]) -> Self {
        let lane =
            |start: &Start| Lane { sent: start.seq, waiting: VecDeque::new(), bytes: 0, next_offset: start.offset };
        Self(starts.iter().map(lane).collect())
    }

    /// The last seq that was sent.
    pub(super) fn sent(&self, partition: Partition) -> Seq {
        self.0.get(usize::from(partition)).map_or(0, |lane| lane.sent)
    }

    /// For each partition the offset behind its last confirmed record.
    pub(super) fn next_offsets(&self) -> Vec<i64> {
        self.0.iter().map(|lane| lane.next_offset).collect()
    }

    /// How many more records may be sent now, whatever their size.
    pub(super) fn room(&self, partition: Partition) -> usize {
        self.0.get(usize::from(partition)).map_or(0, |lane| MAX_RECORDS.saturating_sub(lane.waiting.len()))
    }

    /// Whether a record of `bytes` may be sent now. One that is larger than the bound travels alone.
    pub(super) fn takes(&self, partition: Partition, bytes: usize) -> bool {
        self.0
            .get(usize::from(partition))
            .is_some_and(|lane| lane.waiting.is_empty() || self.room(partition) > 0 && lane.bytes + bytes <= MAX_BYTES)
    }

    pub(super) fn send(&mut self, partition: Partition, seq: Seq, bytes: usize) {
        if let Some(lane) = self.0.get_mut(usize::from(partition)) {
            lane.sent = seq;
            lane.bytes += bytes;
            lane.waiting.push_back((seq, bytes));
        }
    }

    /// Goes on behind `seq`: what is before it is gone from the source.
    pub(super) fn skip(&mut self, partition: Partition, seq: Seq) {
        if let Some(lane) = self.0.get_mut(usize::from(partition)) {
            lane.sent = lane.sent.max(seq);
        }
    }

    /// Takes a record's confirmation. Kafka does not tell the offset of a record that it had already: `None`.
    pub(super) fn confirm(&mut self, partition: Partition, seq: Seq, offset: Option<i64>) -> Result<(), Astray> {
        let lane = self.0.get_mut(usize::from(partition)).ok_or(Astray::OutOfOrder)?;
        match lane.waiting.pop_front() {
            Some((oldest, bytes)) if oldest == seq => lane.bytes -= bytes,
            _ => return Err(Astray::OutOfOrder),
        }
        if let Some(offset) = offset {
            if offset < lane.next_offset {
                return Err(Astray::OffsetWentBack);
            }
            lane.next_offset = offset + 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(seq: Seq, offset: i64) -> Flight {
        Flight::new(&[Start { seq, offset }, Start { seq: 0, offset: 0 }])
    }

    #[test]
    fn a_partition_is_bounded_by_itself() {
        let mut flight = flight(7, 0);
        let many = MAX_RECORDS as Seq;
        (8..8 + many).for_each(|seq| flight.send(0, seq, 1));
        assert_eq!((flight.room(0), flight.takes(0, 1), flight.sent(0)), (0, false, 7 + many));
        assert_eq!((flight.room(1), flight.takes(1, 1)), (MAX_RECORDS, true));
        flight.confirm(0, 8, Some(0)).unwrap();
        assert_eq!((flight.room(0), flight.takes(0, 1)), (1, true));
        assert!(!flight.takes(2, 1), "there is no such partition");
    }

    #[test]
    fn bytes_are_bounded_and_a_large_record_travels_alone() {
        let mut flight = flight(0, 0);
        assert!(flight.takes(0, 2 * MAX_BYTES));
        flight.send(0, 1, 2 * MAX_BYTES);
        assert!(!flight.takes(0, 1));
        flight.confirm(0, 1, None).unwrap();
        flight.send(0, 2, MAX_BYTES);
        assert!(!flight.takes(0, 1));
        flight.confirm(0, 2, None).unwrap();
        assert!(flight.takes(0, MAX_BYTES));
    }

    #[test]
    fn confirmations_come_in_order_at_growing_offsets() {
        let mut flight = flight(2, 10);
        (3..=6).for_each(|seq| flight.send(0, seq, 1));
        assert_eq!(flight.confirm(0, 3, Some(10)), Ok(()));
        // Another relay wrote between them.
        assert_eq!(flight.confirm(0, 4, Some(15)), Ok(()));
        assert_eq!(flight.confirm(0, 5, None), Ok(()));
        assert_eq!(flight.confirm(0, 6, Some(15)), Err(Astray::OffsetWentBack));
        assert_eq!(flight.confirm(0, 7, Some(16)), Err(Astray::OutOfOrder), "it was never sent");
    }

    #[test]
    fn the_first_record_is_behind_all_that_was_there() {
        let mut flight = flight(2, 10);
        flight.send(0, 3, 1);
        assert_eq!(flight.confirm(0, 3, Some(9)), Err(Astray::OffsetWentBack));
    }

    #[test]
    fn a_record_is_never_passed_over() {
        let mut flight = flight(0, 0);
        flight.send(0, 1, 1);
        flight.send(0, 2, 1);
        assert_eq!(flight.confirm(0, 2, Some(0)), Err(Astray::OutOfOrder));
    }

    #[test]
    fn what_is_gone_is_passed() {
        let mut flight = flight(3, 0);
        flight.skip(0, 9);
        flight.skip(0, 5);
        assert_eq!(flight.sent(0), 9);
    }
}
