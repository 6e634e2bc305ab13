//! One partition, followed from record to record.

use sluice_schema::position::Seq;

use crate::kafka::record::Place;

#[derive(Debug)]
pub(super) struct Track {
    /// The offset to read next.
    pub(super) next: i64,
    /// The highest seq so far; 0 before the first.
    pub(super) last: Seq,
    /// Whether it is past what was there at the start.
    pub(super) live: bool,
    /// The record at this offset is too far on, and what is before it has been asked for again.
    jumped: Option<i64>,
}

/// What to do with a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// It is the next event, or the first behind a gap.
    Event,
    /// It came before.
    Repeat,
    /// Something is missing before it: read again from `next` on.
    ReadAgain,
}

impl Track {
    pub(super) fn new(next: i64) -> Self {
        Self { next, last: 0, live: false, jumped: None }
    }

    pub(super) fn take(&mut self, record: Place) -> Take {
        self.next = record.offset + 1;
        if record.seq <= self.last {
            return Take::Repeat;
        }
        // Among the records of before the start, the first one to be looked at may be anything.
        if self.live && record.seq > self.last + 1 && self.jumped.is_none_or(|offset| record.offset < offset) {
            self.jumped = Some(record.offset);
            let missing = record.seq - self.last - 1;
            self.next = record.offset.saturating_sub_unsigned(missing).max(0);
            return Take::ReadAgain;
        }
        self.jumped = None;
        self.last = record.seq;
        Take::Event
    }

    /// It has come to the end of what was there; `relayed` is known to have been in it.
    pub(super) fn begin_live(&mut self, relayed: Seq) {
        self.live = true;
        self.last = self.last.max(relayed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(next: i64, last: Seq) -> Track {
        let mut track = Track::new(next);
        track.begin_live(last);
        track
    }

    fn take(track: &mut Track, offset: i64, seq: Seq) -> Take {
        track.take(Place { offset, seq })
    }

    #[test]
    fn repeats_are_dropped() {
        let mut track = live(10, 5);
        assert_eq!(take(&mut track, 10, 6), Take::Event);
        assert_eq!(take(&mut track, 11, 4), Take::Repeat);
        assert_eq!(take(&mut track, 12, 6), Take::Repeat);
        assert_eq!((take(&mut track, 13, 7), track.next), (Take::Event, 14));
    }

    #[test]
    fn what_is_missing_is_asked_for_again_before_it_is_a_gap() {
        let mut track = live(10, 5);
        assert_eq!((take(&mut track, 13, 9), track.next), (Take::ReadAgain, 10));
        assert_eq!(take(&mut track, 11, 7), Take::ReadAgain, "and again, where there is something before");
        assert_eq!(track.next, 10);
        assert_eq!((take(&mut track, 11, 7), track.last), (Take::Event, 7), "a gap");
        assert_eq!((take(&mut track, 12, 8), track.last), (Take::Event, 8));
    }

    #[test]
    fn what_was_there_before_begins_anywhere() {
        let mut track = Track::new(100);
        assert_eq!(take(&mut track, 100, 40), Take::Event);
        assert_eq!(take(&mut track, 101, 60), Take::Event, "a second relay was behind");
        assert_eq!(take(&mut track, 102, 41), Take::Repeat);
        track.begin_live(55);
        assert_eq!(take(&mut track, 103, 61), Take::Event);
        let mut emptied = Track::new(7);
        emptied.begin_live(55);
        assert_eq!(take(&mut emptied, 7, 56), Take::Event, "the checkpoint knows of more than is left");
    }
}
