//! Who stands in which relation to whom: the port, in Zanzibar's terms.
//!
//! Object ids carry the tenant (`member:acme/m-1`), so that two tenants with equal ids never meet.

mod changes;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod embedded;
mod evaluate;
mod journal;
#[cfg(test)]
mod model;
mod schema;
#[cfg(any(test, feature = "contract"))]
pub mod sluice_zed;
mod tuples;
#[cfg(any(test, feature = "contract"))]
pub mod twin;
pub mod validate;

use std::{
    fmt,
    sync::{Arc, Weak},
};

use async_trait::async_trait;
use jiff::Timestamp;
use sluice_schema::ids::TenantId;

pub(crate) use self::changes::MEMBER;
pub use self::{
    changes::{Heed, Touched},
    embedded::{Clock, Embedded, OpenError},
    evaluate::{Answer, MAX_DEPTH, check},
    journal::{Journal, NoJournal},
    schema::{Place, Problem, SCHEMA, Schema, SchemaError, Subjects, Writable, required_permissions},
    tuples::Tuples,
};

/// An object: `type:tenant/id`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    pub object_type: Arc<str>,
    /// With the tenant: `acme/m-1`. `*` in a subject stands for every object of the type.
    pub id: Arc<str>,
}

impl ObjectRef {
    pub fn new(object_type: &str, tenant: &TenantId, id: &str) -> Self {
        Self { object_type: object_type.into(), id: format!("{tenant}/{id}").into() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.object_type, self.id)
    }
}

/// Who is related: an object (`user:acme/u-1`), a wildcard (`user:*`) or a set (`care_team:acme/t-1#member`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectRef {
    pub object: ObjectRef,
    pub relation: Option<Arc<str>>,
}

/// One relationship: `member:acme/m-1#guardian@user:acme/u-2`, until it expires.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Relationship {
    pub resource: ObjectRef,
    pub relation: Arc<str>,
    pub subject: SubjectRef,
    pub expires: Option<Timestamp>,
}

/// A place in the history of relationships; SpiceDB's ZedToken. Compared only by the implementation that made it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Revision(pub Arc<str>);

/// How fresh an answer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consistency {
    /// Everything that was written before the call began.
    Full,
    /// Everything of which [`Heed`] was told before the call began. What was written since will be told.
    Told,
    /// At least this revision.
    AtLeast(Revision),
    /// Just this revision, which was told with answers a moment ago. An implementation that has only the last state answers
    /// `Overtaken` once there is another.
    At(Revision),
}

/// One question: does the subject have the permission on the resource?
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Check {
    pub resource: ObjectRef,
    pub permission: Arc<str>,
    pub subject: ObjectRef,
}

/// Answers in the order of the questions, all at one revision. Whatever is not a clear yes is `false`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub revision: Revision,
    pub allowed: Vec<bool>,
    /// For each answer: from then on it may be another one although nothing was written, because a relationship expires.
    /// [`NOT_KNOWN`]: whoever follows changes is told of everything once it is.
    pub until: Vec<Option<Timestamp>>,
}

/// Until when an answer holds where nobody can say: it is good for its question, and for no later one.
pub const NOT_KNOWN: Timestamp = Timestamp::MIN;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Creates it, or gives the existing one this expiration.
    Touch(Relationship),
    /// Removes it; it need not exist. The expiration is not looked at.
    Delete(Relationship),
}

#[derive(Debug, thiserror::Error)]
pub enum RelationshipsError {
    /// The service is away, or slow past its deadline. Nothing may be shown on account of it.
    #[error("relationships can't be checked now: {0}")]
    Unavailable(String),
    /// There is another state by now than the one that was asked about: ask again, from the beginning.
    #[error("relationships were written meanwhile")]
    Overtaken,
    /// The schema knows no such type, relation or permission, or the relation does not allow such a subject.
    #[error("{0}")]
    Invalid(String),
}

/// Relationship checks.
///
/// - A check sees every write that was answered before it began, when asked with [`Consistency::Full`]. An expired
///   relationship counts as absent from its instant on, by the implementation's clock.
/// - `write` applies all updates or none, and answers after they are durable.
/// - A future may be dropped at any await; a write may then have happened or not.
/// - An unknown type, relation or permission is `Invalid`, never a silent deny.
#[async_trait]
pub trait Relationships: Send + Sync {
    async fn check_many(&self, consistency: Consistency, checks: &[Check]) -> Result<Checked, RelationshipsError>;

    /// The same for what is live, before what others ask: they may be a crowd.
    async fn check_ahead(&self, consistency: Consistency, checks: &[Check]) -> Result<Checked, RelationshipsError> {
        self.check_many(consistency, checks).await
    }

    async fn write(&self, updates: Vec<Update>) -> Result<Revision, RelationshipsError>;

    /// The relationships of one resource that have not expired, in no order.
    async fn read(&self, resource: &ObjectRef) -> Result<Vec<Relationship>, RelationshipsError>;

    /// From now on tells of what is written, by whomever: of what is written here before the write is answered, of the rest
    /// soon. A source that can't never says that changes are known, so that nothing that it answers is kept.
    fn follow(&self, heed: Weak<dyn Heed>) {
        let _ = heed;
    }
}
