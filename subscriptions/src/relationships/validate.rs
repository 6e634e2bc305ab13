//! What may be asked and written: the same refusals as SpiceDB's, and one of Sluice's own, that relationships stay
//! within a tenant.

use std::collections::HashSet;

use super::{
    Check, ObjectRef, Relationship, RelationshipsError, SubjectRef, Update,
    schema::{Allowed, AllowedKind, Item, Schema},
};

const WILDCARD: &str = "*";

/// That the schema can answer this check.
///
/// # Errors
/// `Invalid`, with no id in it, as everywhere here.
pub fn check(schema: &Schema, check: &Check) -> Result<(), RelationshipsError> {
    let Check { resource, permission, subject } = check;
    object(schema, resource)?;
    item(schema, resource, permission)?;
    object(schema, subject)
}

/// That the schema has the object's type.
///
/// # Errors
/// `Invalid`.
pub fn type_of(schema: &Schema, object: &ObjectRef) -> Result<(), RelationshipsError> {
    if schema.knows_type(&object.object_type) {
        return Ok(());
    }
    Err(invalid(format!("the authorization schema has no definition `{}`", object.object_type)))
}

/// That the object can exist: its type and the form of its id.
///
/// # Errors
/// `Invalid`.
pub fn object(schema: &Schema, object: &ObjectRef) -> Result<(), RelationshipsError> {
    type_of(schema, object)?;
    object_id(object)
}

/// That all updates may be written together, and that each joins two ends of one tenant, which SpiceDB does not know about.
///
/// # Errors
/// `Invalid`.
pub fn updates(schema: &Schema, updates: &[Update]) -> Result<(), RelationshipsError> {
    let mut seen = HashSet::new();
    for update in updates {
        let (relationship, touch) = match update {
            Update::Touch(relationship) => (relationship, true),
            Update::Delete(relationship) => (relationship, false),
        };
        self::relationship(schema, relationship, touch)?;
        if !seen.insert((&relationship.resource, &relationship.relation, &relationship.subject)) {
            let what = name(relationship);
            return Err(invalid(format!("one write names the same relationship of `{what}` twice; name it once")));
        }
    }
    Ok(())
}

/// That the schema allows this relationship. A delete need not tell the expiration.
pub(super) fn relationship(
    schema: &Schema,
    relationship: &Relationship,
    touch: bool,
) -> Result<(), RelationshipsError> {
    let Relationship { resource, relation, subject, expires } = relationship;
    type_of(schema, resource)?;
    type_of(schema, &subject.object)?;
    one_tenant(relationship)?;
    let Item::Relation(allowed) = item(schema, resource, relation)? else {
        let what = name(relationship);
        return Err(invalid(format!("`{what}` is a permission, which follows from relations; write one of those")));
    };
    let of_kind = |one: &&Allowed| is_kind(one, subject);
    if !allowed.iter().any(|one| of_kind(&one)) {
        let (what, subject) = (name(relationship), kind(subject));
        return Err(invalid(format!("`{what}` does not allow `{subject}` as its subject")));
    }
    if touch && !allowed.iter().filter(of_kind).any(|one| one.expiring == expires.is_some()) {
        let with = if expires.is_some() { "with" } else { "without" };
        let (what, subject) = (name(relationship), kind(subject));
        return Err(invalid(format!("`{what}` does not allow `{subject}` {with} an expiration")));
    }
    Ok(())
}

/// That both ends belong to one tenant.
fn one_tenant(relationship: &Relationship) -> Result<(), RelationshipsError> {
    let subject = &relationship.subject;
    object_id(&relationship.resource)?;
    if *subject.object.id == *WILDCARD && subject.relation.is_none() {
        return Ok(());
    }
    object_id(&subject.object)?;
    if tenant(&relationship.resource) == tenant(&subject.object) {
        return Ok(());
    }
    Err(invalid(format!("a relationship of `{}` would join two tenants", name(relationship))))
}

fn tenant(object: &ObjectRef) -> Option<&str> {
    object.id.split_once('/').map(|(tenant, _)| tenant)
}

/// `tenant/id` within SpiceDB's object ids: up to 1024 of `A-Z a-z 0-9 / _ | - = +`. The id is not repeated.
fn object_id(object: &ObjectRef) -> Result<(), RelationshipsError> {
    let fits = object.id.len() <= 1024
        && object.id.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_|-=+".contains(&b))
        && object.id.split_once('/').is_some_and(|(tenant, id)| !tenant.is_empty() && !id.is_empty());
    if fits {
        return Ok(());
    }
    let object_type = &object.object_type;
    Err(invalid(format!(
        "an id of a `{object_type}` must be tenant/id, of A-Z, a-z, 0-9, /_|-=+, up to 1024 characters"
    )))
}

fn item<'a>(schema: &'a Schema, resource: &ObjectRef, name: &str) -> Result<&'a Item, RelationshipsError> {
    let object_type = &resource.object_type;
    let unknown =
        || invalid(format!("the authorization schema's `{object_type}` has no relation or permission `{name}`"));
    schema.item(object_type, name).ok_or_else(unknown)
}

fn is_kind(allowed: &Allowed, subject: &SubjectRef) -> bool {
    let wildcard = *subject.object.id == *WILDCARD;
    allowed.object_type.text == subject.object.object_type
        && match (&allowed.kind, &subject.relation) {
            (AllowedKind::Object, None) => !wildcard,
            (AllowedKind::Wildcard, None) => wildcard,
            (AllowedKind::Set(set), Some(relation)) => set.text == *relation,
            _ => false,
        }
}

/// `member#guardian`: without ids.
fn name(relationship: &Relationship) -> String {
    format!("{}#{}", relationship.resource.object_type, relationship.relation)
}

/// `user`, `user:*` or `care_team#member`: without ids.
fn kind(subject: &SubjectRef) -> String {
    let object_type = &subject.object.object_type;
    match &subject.relation {
        Some(relation) => format!("{object_type}#{relation}"),
        None if *subject.object.id == *WILDCARD => format!("{object_type}:*"),
        None => object_type.to_string(),
    }
}

fn invalid(text: String) -> RelationshipsError {
    RelationshipsError::Invalid(text)
}
