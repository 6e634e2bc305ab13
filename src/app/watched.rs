//! Parts that tell how they are: what fails is named by `/readyz` until it works again, and what it refuses is counted.

use std::{
    fmt::Display,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use sluice_subscriptions::{
    audit::{AuditRecord, AuditTrail, AuditUnavailable, Verified},
    relationships::{
        Check, Checked, Consistency, Heed, ObjectRef, Relationship, Relationships, RelationshipsError, Revision, Update,
    },
    revocations::{Revocation, RevocationsUnavailable, TokenRevocations},
};
use tokio::time::Instant;

use super::outage::Outage;
use crate::health::{Condition, Health};

/// A part, under watch.
pub(super) struct Watched<P: ?Sized> {
    part: Arc<P>,
    name: &'static str,
    health: Arc<Health>,
    failing: AtomicBool,
    outage: Outage,
}

impl<P: ?Sized> Watched<P> {
    pub(super) fn new(part: Arc<P>, name: &'static str, health: Arc<Health>) -> Self {
        Self { part, name, health, failing: AtomicBool::new(false), outage: Outage::of(name) }
    }

    /// Tells health when this outcome differs from the one before.
    fn note(&self, failure: Option<&dyn Display>) {
        match failure {
            None => self.outage.answered(),
            Some(why) => self.outage.refused(why),
        }
        let fails = failure.is_some();
        if self.failing.swap(fails, Ordering::Relaxed) != fails {
            let away = Condition::Degraded("it can't be reached or written: nothing is shown until it can".into());
            self.health.report(self.name, if fails { away } else { Condition::Sound });
        }
    }
}

/// Whoever asks waits for two seconds at least; one who is gone sooner went for reasons of his own.
const TOO_SLOW: Duration = Duration::from_secs(1);

/// A call under way. One that is given up before it has an answer was too slow: that counts as a failure.
struct Call<'w, P: ?Sized> {
    of: Option<&'w Watched<P>>,
    since: Instant,
}

impl<'w, P: ?Sized> Call<'w, P> {
    fn begun(of: &'w Watched<P>) -> Self {
        Self { of: Some(of), since: Instant::now() }
    }
}

impl<P: ?Sized> Call<'_, P> {
    /// For a call whose every error is that the part is away.
    fn answered<T, E: Display>(self, result: Result<T, E>) -> Result<T, E> {
        self.ended(result.as_ref().err().map(|error| error as &dyn Display));
        result
    }

    fn ended(mut self, failure: Option<&dyn Display>) {
        if let Some(watched) = self.of.take() {
            watched.note(failure);
        }
    }
}

impl<P: ?Sized> Drop for Call<'_, P> {
    fn drop(&mut self) {
        if let Some(watched) = self.of.take().filter(|_| self.since.elapsed() >= TOO_SLOW) {
            watched.note(Some(&"no answer in time"));
        }
    }
}

#[async_trait]
impl AuditTrail for Watched<dyn AuditTrail> {
    async fn append(&self, records: Vec<AuditRecord>) -> Result<(), AuditUnavailable> {
        let call = Call::begun(self);
        call.answered(self.part.append(records).await)
    }

    async fn verify(&self) -> Result<Verified, AuditUnavailable> {
        self.part.verify().await
    }
}

#[async_trait]
impl TokenRevocations for Watched<dyn TokenRevocations> {
    async fn revoke(&self, revocation: &Revocation) -> Result<(), RevocationsUnavailable> {
        let call = Call::begun(self);
        call.answered(self.part.revoke(revocation).await)
    }

    async fn behind(&self, place: u64) -> Result<Vec<(u64, Revocation)>, RevocationsUnavailable> {
        let call = Call::begun(self);
        call.answered(self.part.behind(place).await)
    }

    async fn purge(&self, now: Timestamp) -> Result<(), RevocationsUnavailable> {
        self.part.purge(now).await
    }

    fn is_shared(&self) -> bool {
        self.part.is_shared()
    }

    async fn stirred(&self) {
        self.part.stirred().await;
    }
}

impl Watched<dyn Relationships> {
    async fn checked(
        &self,
        asking: impl Future<Output = Result<Checked, RelationshipsError>>,
    ) -> Result<Checked, RelationshipsError> {
        let call = Call::begun(self);
        let result = asking.await;
        call.ended(match &result {
            Err(error @ RelationshipsError::Unavailable(_)) => Some(error),
            _ => None,
        });
        result
    }
}

#[async_trait]
impl Relationships for Watched<dyn Relationships> {
    async fn check_many(&self, consistency: Consistency, checks: &[Check]) -> Result<Checked, RelationshipsError> {
        self.checked(self.part.check_many(consistency, checks)).await
    }

    async fn check_ahead(&self, consistency: Consistency, checks: &[Check]) -> Result<Checked, RelationshipsError> {
        self.checked(self.part.check_ahead(consistency, checks)).await
    }

    async fn write(&self, updates: Vec<Update>) -> Result<Revision, RelationshipsError> {
        self.part.write(updates).await
    }

    async fn read(&self, resource: &ObjectRef) -> Result<Vec<Relationship>, RelationshipsError> {
        self.part.read(resource).await
    }

    fn follow(&self, heed: Weak<dyn Heed>) {
        self.part.follow(heed);
    }
}

#[cfg(test)]
mod tests {
    use sluice_subscriptions::audit::memory::{MemoryAudit, Mood};

    use super::*;

    #[tokio::test]
    async fn a_failing_part_is_named_until_it_works_again() {
        let (audit, health) = (Arc::new(MemoryAudit::default()), Arc::new(Health::default()));
        let watched: Watched<dyn AuditTrail> = Watched::new(audit.clone(), "audit", health.clone());
        audit.set(Mood::Failing);
        watched.append(Vec::new()).await.expect_err("told to fail");
        assert_eq!(health.degraded(), ["audit"]);
        audit.set(Mood::Sound);
        watched.append(Vec::new()).await.expect("works again");
        assert!(health.degraded().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_part_is_named_once_it_is_given_up() {
        let (audit, health) = (Arc::new(MemoryAudit::default()), Arc::new(Health::default()));
        let watched: Watched<dyn AuditTrail> = Watched::new(audit.clone(), "audit", health.clone());
        audit.set(Mood::Stalled);
        let given_up = tokio::time::timeout(Duration::from_secs(5), watched.append(Vec::new())).await;
        given_up.expect_err("no answer");
        assert_eq!(health.degraded(), ["audit"]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_at_once_says_nothing_about_the_part() {
        let (audit, health) = (Arc::new(MemoryAudit::default()), Arc::new(Health::default()));
        let watched: Watched<dyn AuditTrail> = Watched::new(audit.clone(), "audit", health.clone());
        audit.set(Mood::Stalled);
        let left = tokio::time::timeout(Duration::from_millis(100), watched.append(Vec::new())).await;
        left.expect_err("no answer");
        assert!(health.degraded().is_empty());
    }
}
