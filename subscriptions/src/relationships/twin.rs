//! Relationships that fail when a test wants them to.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
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
    /// How many calls go through yet.
    left: Arc<AtomicUsize>,
}

impl Switchable {
    /// Available at first.
    pub fn new(inner: Arc<dyn Relationships>) -> Self {
        Self { inner, left: Arc::new(AtomicUsize::new(usize::MAX)) }
    }

    /// From now on every call that begins is `Unavailable`.
    pub fn fail(&self) {
        self.fail_behind(0);
    }

    /// The same from so many calls on.
    pub fn fail_behind(&self, calls: usize) {
        self.left.store(calls, Ordering::SeqCst);
    }

    /// From now on calls go through again.
    pub fn recover(&self) {
        self.fail_behind(usize::MAX);
    }

    fn reach(&self) -> Result<&dyn Relationships, RelationshipsError> {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(|_| self.inner.as_ref()).map_err(|_| away())
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
