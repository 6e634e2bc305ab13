//! Parts that tell how they are: what fails is named by `/readyz` until it works again.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use sluice_subscriptions::{
    audit::{AuditRecord, AuditTrail, AuditUnavailable, Verified},
    relationships::{
        Check, Checked, Consistency, Heed, ObjectRef, Relationship, Relationships, RelationshipsError, Revision, Update,
    },
};

use crate::health::{Condition, Health};

/// A part, under watch.
pub(super) struct Watched<P: ?Sized> {
    part: Arc<P>,
    name: &'static str,
    health: Arc<Health>,
    failing: AtomicBool,
}

impl<P: ?Sized> Watched<P> {
    pub(super) fn new(part: Arc<P>, name: &'static str, health: Arc<Health>) -> Self {
        Self { part, name, health, failing: AtomicBool::new(false) }
    }

    /// Tells health when this outcome differs from the one before.
    fn note(&self, fails: bool) {
        if self.failing.swap(fails, Ordering::Relaxed) != fails {
            let away = Condition::Degraded("it can't be reached or written: nothing is shown until it can".into());
            self.health.report(self.name, if fails { away } else { Condition::Sound });
        }
    }
}

/// A call under way. One that is given up before it has an answer was too slow: that counts as a failure.
struct Call<'w, P: ?Sized>(Option<&'w Watched<P>>);

impl<P: ?Sized> Call<'_, P> {
    fn ended(mut self, fails: bool) {
        if let Some(watched) = self.0.take() {
            watched.note(fails);
        }
    }
}

impl<P: ?Sized> Drop for Call<'_, P> {
    fn drop(&mut self) {
        if let Some(watched) = self.0.take() {
            watched.note(true);
        }
    }
}

#[async_trait]
impl AuditTrail for Watched<dyn AuditTrail> {
    async fn append(&self, records: Vec<AuditRecord>) -> Result<(), AuditUnavailable> {
        let call = Call(Some(self));
        let result = self.part.append(records).await;
        call.ended(result.is_err());
        result
    }

    async fn verify(&self) -> Result<Verified, AuditUnavailable> {
        self.part.verify().await
    }
}

#[async_trait]
impl Relationships for Watched<dyn Relationships> {
    async fn check_many(&self, consistency: Consistency, checks: &[Check]) -> Result<Checked, RelationshipsError> {
        let call = Call(Some(self));
        let result = self.part.check_many(consistency, checks).await;
        call.ended(matches!(result, Err(RelationshipsError::Unavailable(_))));
        result
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
        let given_up = tokio::time::timeout(std::time::Duration::from_secs(5), watched.append(Vec::new())).await;
        given_up.expect_err("no answer");
        assert_eq!(health.degraded(), ["audit"]);
    }
}
