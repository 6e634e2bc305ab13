//! Which audiences a writer need not write again.

use std::{collections::HashSet, mem};

use sluice_schema::ids::TenantId;
use sluice_subscriptions::audit::Digest;

/// How many of them are remembered at least; at most twice as many, of some hundred bytes each.
const CAPACITY: usize = 4096;

/// An audience of one tenant: the rows that find its records by a user are the tenant's own.
pub(crate) type Key = (TenantId, Digest);

/// The audiences that were last asked for, of those that are durable. To have forgotten one costs a write that finds it
/// there.
#[derive(Default)]
pub(crate) struct Known {
    recent: HashSet<Key>,
    /// What was recent until as many others were. What is not asked for meanwhile goes.
    older: HashSet<Key>,
}

impl Known {
    pub(crate) fn contains(&mut self, key: &Key) -> bool {
        if self.recent.contains(key) {
            return true;
        }
        let known = self.older.take(key);
        let found = known.is_some();
        self.extend(known);
        found
    }

    /// Takes what is durable from now on, and forgets what was not asked for in a long time.
    pub(crate) fn extend(&mut self, keys: impl IntoIterator<Item = Key>) {
        for key in keys {
            if self.recent.len() >= CAPACITY {
                self.older = mem::take(&mut self.recent);
            }
            self.recent.insert(key);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.recent.clear();
        self.older.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        ("acme".parse().unwrap(), Digest::of(number.to_string().as_bytes()))
    }

    #[test]
    fn what_is_asked_for_again_and_again_is_kept_however_many_others_come() {
        let mut known = Known::default();
        known.extend([key(0)]);
        for number in 1..5 * CAPACITY {
            known.extend([key(number)]);
            if number % (CAPACITY / 2) == 0 {
                assert!(known.contains(&key(0)), "after {number}");
            }
        }
        assert!(!known.contains(&key(1)), "nobody asked for it");
        assert!(known.recent.len() + known.older.len() <= 2 * CAPACITY);
    }

    #[test]
    fn an_audience_of_one_tenant_is_not_another_tenants() {
        let mut known = Known::default();
        known.extend([key(0)]);
        assert!(!known.contains(&("other".parse().unwrap(), key(0).1)));
        known.clear();
        assert!(!known.contains(&key(0)));
    }
}
