//! When decisions come to an end by themselves: a relationship expires, and nobody tells of it.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

/// Subscriptions by the instant from which the decision that they stand and fall with may be another one. Some may have
/// ended since.
#[derive(Default)]
pub(super) struct Expirations(BTreeSet<(Timestamp, u64)>);

impl Expirations {
    pub(super) fn add(&mut self, until: Timestamp, id: u64) {
        self.0.insert((until, id));
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let (until, _) = self.0.first()?;
        let ahead = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
        // Timers count whole milliseconds, and one that is early would be of no use.
        Some(Instant::now() + ahead.max(Duration::from_millis(1)))
    }

    /// Those that are due.
    pub(super) fn take(&mut self, now: Timestamp) -> Vec<u64> {
        let later = self.0.split_off(&(now, u64::MAX));
        std::mem::replace(&mut self.0, later).into_iter().map(|(_, id)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn what_is_due_is_taken_and_the_rest_is_waited_for() {
        let (mut expirations, now) = (Expirations::default(), Timestamp::now());
        assert!(expirations.next().is_none());
        for (milliseconds, id) in [(-5, 1), (0, 2), (60_000, 3), (0, 4)] {
            expirations.add(now + SignedDuration::from_millis(milliseconds), id);
        }
        assert_eq!(expirations.take(now), [1, 2, 4]);
        assert!(expirations.take(now).is_empty());
        let ahead = expirations.next().expect("one is left").duration_since(Instant::now());
        assert!(ahead > Duration::from_secs(50), "{ahead:?}");
    }
}
