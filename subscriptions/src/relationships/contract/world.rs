//! What the contract's tests are written in.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use jiff::Timestamp;
use sluice_schema::ids::TenantId;

use super::super::{
    Check, Consistency, ObjectRef, Relationship, Relationships, RelationshipsError, Revision, SubjectRef, Update,
};

/// The objects of one tenant that no other test has.
pub(super) struct World<'a> {
    pub(super) port: &'a dyn Relationships,
    tenant: TenantId,
}

impl<'a> World<'a> {
    pub(super) fn new(port: &'a dyn Relationships) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (now, count) = (Timestamp::now().as_nanosecond(), COUNT.fetch_add(1, Ordering::Relaxed));
        let tenant = format!("contract-{}-{now}-{count}", std::process::id());
        Self { port, tenant: tenant.parse().expect("letters, digits and dashes") }
    }

    pub(super) fn object(&self, object_type: &str, id: &str) -> ObjectRef {
        ObjectRef::new(object_type, &self.tenant, id)
    }

    pub(super) fn user(&self, id: &str) -> ObjectRef {
        self.object("user", id)
    }

    pub(super) async fn write(&self, updates: impl Into<Vec<Update>>) -> Result<Revision, RelationshipsError> {
        self.port.write(updates.into()).await
    }

    pub(super) async fn can(&self, subject: &ObjectRef, permission: &str, resource: &ObjectRef) -> bool {
        self.can_at(Consistency::Full, subject, permission, resource).await
    }

    pub(super) async fn can_at(
        &self,
        at: Consistency,
        subject: &ObjectRef,
        permission: &str,
        resource: &ObjectRef,
    ) -> bool {
        let checked = self.port.check_many(at, &[question(subject, permission, resource)]).await;
        checked.expect("the check is valid").allowed[0]
    }
}

pub(super) fn question(subject: &ObjectRef, permission: &str, resource: &ObjectRef) -> Check {
    Check { resource: resource.clone(), permission: permission.into(), subject: subject.clone() }
}

pub(super) fn touch(resource: &ObjectRef, relation: &str, subject: &ObjectRef) -> Update {
    until(resource, relation, subject, None)
}

pub(super) fn until(resource: &ObjectRef, relation: &str, subject: &ObjectRef, expires: Option<Timestamp>) -> Update {
    Update::Touch(relationship(resource, relation, SubjectRef { object: subject.clone(), relation: None }, expires))
}

pub(super) fn touch_set(resource: &ObjectRef, relation: &str, object: &ObjectRef, set: &str) -> Update {
    let set: Option<Arc<str>> = Some(set.into());
    Update::Touch(relationship(resource, relation, SubjectRef { object: object.clone(), relation: set }, None))
}

pub(super) fn delete(resource: &ObjectRef, relation: &str, subject: &ObjectRef) -> Update {
    Update::Delete(relationship(resource, relation, SubjectRef { object: subject.clone(), relation: None }, None))
}

fn relationship(resource: &ObjectRef, relation: &str, subject: SubjectRef, expires: Option<Timestamp>) -> Relationship {
    Relationship { resource: resource.clone(), relation: relation.into(), subject, expires }
}

pub(super) fn everybody() -> ObjectRef {
    ObjectRef { object_type: "user".into(), id: "*".into() }
}

pub(super) fn past() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

/// In the year 2100.
pub(super) fn future() -> Timestamp {
    Timestamp::from_second(4_102_444_800).expect("within jiff's range")
}

pub(super) fn assert_invalid<T: std::fmt::Debug>(result: Result<T, RelationshipsError>) {
    assert!(matches!(result, Err(RelationshipsError::Invalid(_))), "{result:?}");
}
