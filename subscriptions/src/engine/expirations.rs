//! When decisions come to an end by themselves: a relationship expires, and nobody tells of it.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

/// Attached subscriptions by the instant from which the decision that they stand and fall with may be another one.
#[derive(Default)]
pub(super) struct Expirations {
    by_instant: BTreeSet<(Timestamp, u64)>,
    by_id: HashMap<u64, Timestamp>,
}

impl Expirations {
    /// In place of what was known of it before.
    pub(super) fn add(&mut self, until: Timestamp, id: u64) {
        self.remove(id);
        self.by_instant.insert((until, id));
        self.by_id.insert(id, until);
    }

    pub(super) fn remove(&mut self, id: u64) {
        if let Some(until) = self.by_id.remove(&id) {
            self.by_instant.remove(&(until, id));
        }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let (until, _) = self.by_instant.first()?;
        let ahead = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
        // Timers count whole milliseconds, and one that is early would be of no use.
        Some(Instant::now() + ahead.max(Duration::from_millis(1)))
    }

    /// Those that are due.
    pub(super) fn take(&mut self, now: Timestamp) -> Vec<u64> {
        let later = self.by_instant.split_off(&(now, u64::MAX));
        let due: Vec<_> = std::mem::replace(&mut self.by_instant, later).into_iter().map(|(_, id)| id).collect();
        for id in &due {
            self.by_id.remove(id);
        }
        due
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

    #[test]
    fn what_is_over_or_ends_at_another_time_leaves_nothing_behind() {
        let (mut expirations, now) = (Expirations::default(), Timestamp::now());
        expirations.add(now, 1);
        expirations.add(now + SignedDuration::from_secs(60), 1);
        assert!(expirations.take(now).is_empty(), "it ends later now");
        expirations.remove(1);
        expirations.remove(1);
        assert!(expirations.next().is_none() && expirations.by_id.is_empty());
    }
}
