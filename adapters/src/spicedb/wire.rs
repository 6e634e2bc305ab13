//! The port's terms in SpiceDB's messages and back.

use jiff::Timestamp;
use prost_types::Timestamp as WireTimestamp;
use sluice_subscriptions::relationships::{Check, ObjectRef, Relationship, Revision, SubjectRef, Update};
use spicedb_grpc_tonic::v1::{
    self, CheckBulkPermissionsRequestItem, ObjectReference, RelationshipFilter, RelationshipUpdate, SubjectReference,
    ZedToken, consistency::Requirement, relationship_update::Operation,
};

pub(super) fn consistency(requirement: Requirement) -> Option<v1::Consistency> {
    Some(v1::Consistency { requirement: Some(requirement) })
}

pub(super) fn fully_consistent() -> Option<v1::Consistency> {
    consistency(Requirement::FullyConsistent(true))
}

pub(super) fn item(check: &Check) -> CheckBulkPermissionsRequestItem {
    CheckBulkPermissionsRequestItem {
        resource: Some(object(&check.resource)),
        permission: check.permission.to_string(),
        subject: Some(SubjectReference { object: Some(object(&check.subject)), optional_relation: String::new() }),
        context: None,
    }
}

pub(super) fn update(update: &Update) -> RelationshipUpdate {
    let (operation, one) = match update {
        Update::Touch(one) => (Operation::Touch, one),
        Update::Delete(one) => (Operation::Delete, one),
    };
    RelationshipUpdate { operation: operation.into(), relationship: Some(relationship(one)) }
}

fn relationship(one: &Relationship) -> v1::Relationship {
    v1::Relationship {
        resource: Some(object(&one.resource)),
        relation: one.relation.to_string(),
        subject: Some(SubjectReference {
            object: Some(object(&one.subject.object)),
            optional_relation: one.subject.relation.as_deref().unwrap_or_default().to_owned(),
        }),
        optional_caveat: None,
        optional_expires_at: one.expires.map(timestamp),
    }
}

fn object(object: &ObjectRef) -> ObjectReference {
    ObjectReference { object_type: object.object_type.to_string(), object_id: object.id.to_string() }
}

/// Protobuf counts nanoseconds forward from the second, also before 1970.
fn timestamp(at: Timestamp) -> WireTimestamp {
    let (seconds, nanos) = (at.as_second(), at.subsec_nanosecond());
    let back = i64::from(nanos < 0);
    WireTimestamp { seconds: seconds - back, nanos: nanos + 1_000_000_000 * i32::from(nanos < 0) }
}

/// `None` for one that is past all bounds.
pub(super) fn time(at: &WireTimestamp) -> Option<Timestamp> {
    Timestamp::new(at.seconds, at.nanos).ok()
}

pub(super) fn everything_of(resource: &ObjectRef) -> RelationshipFilter {
    RelationshipFilter {
        resource_type: resource.object_type.to_string(),
        optional_resource_id: resource.id.to_string(),
        ..RelationshipFilter::default()
    }
}

pub(super) fn everything_in(resource_type: String, relation: String) -> RelationshipFilter {
    RelationshipFilter { resource_type, optional_relation: relation, ..RelationshipFilter::default() }
}

/// `None` for what the port has no words for: a relationship under a caveat, which is no clear yes.
pub(super) fn read(one: v1::Relationship) -> Option<Relationship> {
    let (resource, subject) = (one.resource?, one.subject?);
    if one.optional_caveat.is_some() {
        return None;
    }
    let expires = match &one.optional_expires_at {
        Some(at) => Some(time(at)?),
        None => None,
    };
    Some(Relationship {
        resource: read_object(resource),
        relation: one.relation.into(),
        subject: SubjectRef {
            object: read_object(subject.object?),
            relation: Some(subject.optional_relation).filter(|relation| !relation.is_empty()).map(Into::into),
        },
        expires,
    })
}

fn read_object(object: ObjectReference) -> ObjectRef {
    ObjectRef { object_type: object.object_type.into(), id: object.object_id.into() }
}

pub(super) fn token(revision: &Revision) -> ZedToken {
    ZedToken { token: revision.0.to_string() }
}

pub(super) fn revision(token: ZedToken) -> Revision {
    Revision(token.token.into())
}

#[cfg(test)]
mod tests {
    use super::timestamp;

    #[test]
    fn instants_are_told_in_seconds_and_what_follows_them() {
        for (text, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2100-01-01T00:00:00.25Z", 4_102_444_800, 250_000_000),
            ("1969-12-31T23:59:59.25Z", -1, 250_000_000),
            ("1969-12-31T23:59:59Z", -1, 0),
        ] {
            let at = timestamp(text.parse().unwrap());
            assert_eq!((at.seconds, at.nanos), (seconds, nanos), "{text}");
        }
    }
}
