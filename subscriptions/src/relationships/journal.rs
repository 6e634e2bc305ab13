//! What makes the embedded relationships durable.

use async_trait::async_trait;

use super::{Relationship, RelationshipsError, Update};

/// Stable storage for one [`super::Embedded`], which is its only user: no other process or value writes to it
/// meanwhile.
///
/// - `load` gives every relationship that is stored and the revision of the last append, 0 if there was none. The
///   ones that have expired may be left out.
/// - `append` stores all of the updates and the revision, or nothing, and answers after they are on stable storage.
///   The revision is always one more than the last one; an implementation must refuse any other with `Invalid`. An
///   update is by (resource, relation, subject): a touch creates the relationship or gives it another expiration, a
///   delete removes it and need not find it.
/// - When `append` fails, the updates may or may not be stored. The next call is then `load`, whose answer decides.
/// - Calls come one at a time, never from a future that is dropped before its end.
#[async_trait]
pub trait Journal: Send + Sync {
    async fn load(&self) -> Result<(Vec<Relationship>, u64), RelationshipsError>;

    async fn append(&self, revision: u64, updates: &[Update]) -> Result<(), RelationshipsError>;
}

/// Stores nothing: for tests and for relationships that are gone with the process.
///
/// A `load` after the first would forget everything; its `append` never fails, so there is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoJournal;

#[async_trait]
impl Journal for NoJournal {
    async fn load(&self) -> Result<(Vec<Relationship>, u64), RelationshipsError> {
        Ok((Vec::new(), 0))
    }

    async fn append(&self, _revision: u64, _updates: &[Update]) -> Result<(), RelationshipsError> {
        Ok(())
    }
}
