//! Relationships that fail when a test wants them to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;

use super::{
    Check, Checked, Consistency, ObjectRef, Relationship, Relationships, RelationshipsError, Revision, Update,
};

/// Always away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unavailable;

#[async_trait]
impl Relationships for Unavailable {
    async fn check_many(&self, _consistency: Consistency, _checks: &[Check]) -> Result<Checked, RelationshipsError> {
        Err(away())
    }

    async fn write(&self, _updates: Vec<Update>) -> Result<Revision, RelationshipsError> {
        Err(away())
    }

    async fn read(&self, _resource: &ObjectRef) -> Result<Vec<Relationship>, RelationshipsError> {
        Err(away())
    }
}

/// Others' relationships, away for as long as a test says so. Clones share the switch. It tells of no changes, so that each
/// decision asks, and meets the switch.
#[derive(Clone)]
pub struct Switchable {
    inner: Arc<dyn Relationships>,
    away: Arc<AtomicBool>,
}

impl Switchable {
    /// Available at first.
    pub fn new(inner: Arc<dyn Relationships>) -> Self {
        Self { inner, away: Arc::default() }
    }

    /// From now on every call that begins is `Unavailable`.
    pub fn fail(&self) {
        self.away.store(true, Ordering::SeqCst);
    }

    /// From now on calls go through again.
    pub fn recover(&self) {
        self.away.store(false, Ordering::SeqCst);
    }

    fn reach(&self) -> Result<&dyn Relationships, RelationshipsError> {
        if self.away.load(Ordering::SeqCst) { Err(away()) } else { Ok(self.inner.as_ref()) }
    }
}

#[async_trait]
impl Relationships for Switchable {
    async fn check_many(&self, consistency: Consistency, checks: &[Check]) -> Result<Checked, RelationshipsError> {
        self.reach()?.check_many(consistency, checks).await
    }

    async fn write(&self, updates: Vec<Update>) -> Result<Revision, RelationshipsError> {
        self.reach()?.write(updates).await
    }

    async fn read(&self, resource: &ObjectRef) -> Result<Vec<Relationship>, RelationshipsError> {
        self.reach()?.read(resource).await
    }
}

fn away() -> RelationshipsError {
    RelationshipsError::Unavailable("a test switched them off".to_owned())
}
