//! Revocations in memory, for tests: as many nodes as there are clones, and it can be told to fail.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::{Options, PAGE, Revocation, Revocations, RevocationsUnavailable, TokenRevocations};

#[derive(Clone, Default)]
pub struct MemoryRevocations {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The last place that was given, and what is kept.
    kept: Mutex<(u64, Vec<(u64, Revocation)>)>,
    failing: AtomicBool,
    stirred: Notify,
}

/// A node by itself, for tests of something else: its clock is the only one, and its list does not grow old.
pub async fn node_alone() -> Revocations {
    let options =
        Options { max_lifetime: Duration::from_secs(3600), leeway: Duration::ZERO, max_staleness: Duration::MAX };
    // It is told to fail by nobody.
    Revocations::open(Arc::new(MemoryRevocations::default()), options).await.expect("it is in memory")
}

impl MemoryRevocations {
    /// From now on it refuses everything, or no longer.
    pub fn fail(&self, failing: bool) {
        self.shared.failing.store(failing, Ordering::Release);
    }

    /// Has whoever listens hear that there is more.
    pub fn stir(&self) {
        self.shared.stirred.notify_waiters();
    }

    fn with<T>(&self, work: impl FnOnce(&mut (u64, Vec<(u64, Revocation)>)) -> T) -> Result<T, RevocationsUnavailable> {
        if self.shared.failing.load(Ordering::Acquire) {
            return Err(RevocationsUnavailable("told to fail".into()));
        }
        Ok(work(&mut self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[async_trait]
impl TokenRevocations for MemoryRevocations {
    async fn revoke(&self, revocation: &Revocation) -> Result<(), RevocationsUnavailable> {
        self.with(|(last, kept)| {
            *last += 1;
            kept.push((*last, revocation.clone()));
        })
    }

    async fn behind(&self, place: u64) -> Result<Vec<(u64, Revocation)>, RevocationsUnavailable> {
        self.with(|(_, kept)| kept.iter().filter(|(at, _)| *at > place).take(PAGE).cloned().collect())
    }

    async fn purge(&self, now: Timestamp) -> Result<(), RevocationsUnavailable> {
        self.with(|(_, kept)| kept.retain(|(_, revocation)| revocation.kept_until > now))
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn stirred(&self) {
        self.shared.stirred.notified().await;
    }
}
