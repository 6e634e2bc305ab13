//! What one viewer may have at a time, on all transports of this process together: connections, operations in flight, and
//! how many are begun in a second. A viewer is a user of a tenant, whatever her purpose.

use std::{
    collections::{HashMap, hash_map::Entry},
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter, clock::Clock, middleware::NoOpMiddleware, nanos::Nanos, state::keyed::HashMapStateStore,
};
use sluice_schema::{
    error::{ClientError, Code},
    ids::{TenantId, UserId},
    viewer::Viewer,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::config::TransportConfig;
use crate::clock::TokioClock;

/// How many viewers are remembered at least before those are looked for who can be forgotten.
const REMEMBERED: usize = 1024;

/// When to ask again where something has to end first.
const AGAIN: Duration = Duration::from_secs(1);

pub(super) type Key = (TenantId, UserId);

type Rates = RateLimiter<Key, HashMapStateStore<Key>, TokioClock, NoOpMiddleware<Nanos>>;

pub(super) struct Viewers {
    connections: usize,
    in_flight: usize,
    counts: Mutex<HashMap<Key, Counts>>,
    clock: TokioClock,
    rates: Rates,
    /// How many viewers have rates, at which to look for those that can be forgotten.
    look_at: AtomicUsize,
    /// Room for connections whose viewers are not known yet.
    unauthenticated: Arc<Semaphore>,
}

/// Of one viewer; there only while something is counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    connections: usize,
    in_flight: usize,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Connection,
    Operation,
}

/// It is counted until this is dropped.
pub(super) struct Held {
    viewers: Arc<Viewers>,
    key: Key,
    kind: Kind,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.viewers.give_back(&self.key, self.kind);
    }
}

/// The viewer has too much under way; she may ask again after `retry`.
#[derive(Debug, PartialEq)]
pub(super) struct Busy {
    pub(super) retry: Duration,
    pub(super) error: ClientError,
}

impl Viewers {
    pub(super) fn new(config: &TransportConfig) -> Self {
        let positive = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(positive(config.max_operations_per_second))
            .allow_burst(positive(config.max_operations_burst));
        let clock = TokioClock::start();
        Self {
            connections: config.max_connections_per_viewer,
            in_flight: config.max_in_flight_per_viewer,
            counts: Mutex::default(),
            rates: Rates::hashmap_with_clock(quota, clock.clone()),
            clock,
            look_at: AtomicUsize::new(REMEMBERED),
            unauthenticated: Arc::new(Semaphore::new(config.max_unauthenticated.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Room for a connection until its viewer is known; `None` where there is none.
    pub(super) fn unauthenticated(&self) -> Option<OwnedSemaphorePermit> {
        self.unauthenticated.clone().try_acquire_owned().ok()
    }

    /// One more connection.
    pub(super) fn connect(self: &Arc<Self>, viewer: &Viewer) -> Result<Held, Busy> {
        self.hold(viewer, Kind::Connection)
    }

    /// One more operation that is in flight.
    pub(super) fn operate(self: &Arc<Self>, viewer: &Viewer) -> Result<Held, Busy> {
        self.hold(viewer, Kind::Operation)
    }

    /// One more operation that is begun.
    pub(super) fn begin(&self, viewer: &Viewer) -> Result<(), Busy> {
        let key = key(viewer);
        let checked = self.rates.check_key(&key);
        self.forget_the_idle();
        checked.map_err(|until| {
            let text = "You begin too many operations: wait as long as `retryAfterMs` says.";
            busy("rate", text, until.wait_time_from(self.clock.now()))
        })
    }

    /// One more operation that is begun, and in flight until what is returned is dropped.
    pub(super) fn start(self: &Arc<Self>, viewer: &Viewer) -> Result<Held, Busy> {
        self.begin(viewer)?;
        self.operate(viewer)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Counts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(self: &Arc<Self>, viewer: &Viewer, kind: Kind) -> Result<Held, Busy> {
        let key = key(viewer);
        let mut counts = self.lock();
        let before = counts.get(&key).copied().unwrap_or_default();
        match kind {
            Kind::Connection if before.connections >= self.connections => {
                Err(busy("connections", "You have too many connections: close one first.", AGAIN))
            }
            Kind::Operation if before.in_flight >= self.in_flight => {
                Err(busy("in_flight", "You have too many operations in flight: wait until one ends.", AGAIN))
            }
            kind => {
                *counts.entry(key.clone()).or_default().of(kind) += 1;
                Ok(Held { viewers: Arc::clone(self), key, kind })
            }
        }
    }

    fn give_back(&self, key: &Key, kind: Kind) {
        if let Entry::Occupied(mut entry) = self.lock().entry(key.clone()) {
            let count = entry.get_mut().of(kind);
            *count = count.saturating_sub(1);
            if *entry.get() == Counts::default() {
                entry.remove();
            }
        }
    }

    /// Whoever may begin as many as somebody new is somebody new. Looked for whenever there are twice as many as there were
    /// left the last time.
    fn forget_the_idle(&self) {
        if self.rates.len() < self.look_at.load(Ordering::Relaxed) {
            return;
        }
        self.rates.retain_recent();
        self.rates.shrink_to_fit();
        self.look_at.store(self.rates.len().max(REMEMBERED / 2) * 2, Ordering::Relaxed);
    }
}

impl Counts {
    fn of(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Connection => &mut self.connections,
            Kind::Operation => &mut self.in_flight,
        }
    }
}

pub(super) fn key(viewer: &Viewer) -> Key {
    (viewer.tenant.clone(), viewer.user.clone())
}

fn busy(limit: &'static str, text: &'static str, retry: Duration) -> Busy {
    metrics::counter!("sluice_viewers_held_back_total", "limit" => limit).increment(1);
    // Never 0: it would say that now is the time.
    let milliseconds = u64::try_from(retry.as_millis()).unwrap_or(u64::MAX).max(1);
    Busy { retry, error: ClientError::new(Code::LimitExceeded, text).with("retryAfterMs", milliseconds) }
}

#[cfg(test)]
#[path = "viewers_tests.rs"]
pub(super) mod tests;
