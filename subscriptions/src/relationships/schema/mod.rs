//! The authorization schema: the part of SpiceDB's schema language that Sluice evaluates itself.
//!
//! Supported: `use expiration`; comments; `definition`; `relation` with `type`, `type:*`, `type#relation`, each with or
//! without `with expiration`; `permission` with `+`, `&`, `-`, `->`, `.any(…)`, parentheses and `nil`. Everything else
//! that SpiceDB knows is a [`SchemaError`], and so are two different operators without parentheses.

mod error;
mod lexer;
mod parser;
mod resolve;

use std::{collections::HashMap, sync::Arc};

pub use error::{Place, Problem, SchemaError};
use sluice_schema::{access, viewer::PurposeOfUse};

use super::RelationshipsError;

/// Sluice's own schema, `schema/authz/sluice.zed`.
pub const SCHEMA: &str = include_str!("../../../../schema/authz/sluice.zed");

/// A schema whose every name is known to exist.
#[derive(Debug, Clone)]
pub struct Schema {
    definitions: HashMap<Arc<str>, HashMap<Arc<str>, Item>>,
}

#[derive(Debug, Clone)]
pub(super) enum Item {
    /// The subjects that may be written.
    Relation(Vec<Allowed>),
    Permission(Expression),
}

/// `user`, `user:*` or `care_team#member`, with or without `with expiration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) object_type: Name,
    pub(super) kind: AllowedKind,
    pub(super) expiring: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AllowedKind {
    Object,
    Wildcard,
    Set(Name),
}

#[derive(Debug, Clone)]
pub(super) enum Expression {
    Nil,
    /// A relation or permission of the same object.
    Own(Name),
    /// `relation->target`: the target of any object in the relation.
    Arrow {
        relation: Name,
        target: Name,
    },
    Union(Vec<Expression>),
    Intersection(Vec<Expression>),
    /// In the first and in none of the others.
    Exclusion(Vec<Expression>),
}

/// A name and where it stands. Equal names are equal wherever they stand.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub(super) text: Arc<str>,
    pub(super) place: Place,
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Name {}

impl Schema {
    /// Reads a schema and checks every name in it.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        resolve::resolve(parser::parse(text)?)
    }

    /// Whether it defines this type.
    pub fn knows_type(&self, object_type: &str) -> bool {
        self.definitions.contains_key(object_type)
    }

    /// Whether anything may be related to objects of this type, or to sets of theirs.
    pub(super) fn is_subject(&self, object_type: &str) -> bool {
        let items = self.definitions.values().flat_map(HashMap::values);
        items
            .filter_map(|item| if let Item::Relation(allowed) = item { Some(allowed) } else { None })
            .any(|allowed| allowed.iter().any(|one| &*one.object_type.text == object_type))
    }

    /// Whether objects of this type have no relations or permissions of their own.
    pub(super) fn is_bare(&self, object_type: &str) -> bool {
        self.definitions.get(object_type).is_some_and(HashMap::is_empty)
    }

    pub(super) fn item(&self, object_type: &str, name: &str) -> Option<&Item> {
        self.definitions.get(object_type)?.get(name)
    }

    /// That the type has all these permissions; otherwise `Invalid`, with the names of all that are missing.
    pub fn require<'a>(
        &self,
        object_type: &str,
        permissions: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), RelationshipsError> {
        let exists = |name: &&str| matches!(self.item(object_type, name), Some(Item::Permission(_)));
        let missing: Vec<&str> = permissions.into_iter().filter(|name| !exists(name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(", ");
        Err(RelationshipsError::Invalid(format!(
            "the authorization schema lacks permissions on `{object_type}` that Sluice checks: {missing}; define them"
        )))
    }
}

/// Every permission on a `member` that Sluice asks about, for any purpose of use. Some come more than once.
pub fn required_permissions() -> impl Iterator<Item = &'static str> {
    use PurposeOfUse::{Operations, PatientRequest, Payment, Treatment};
    [PatientRequest, Treatment, Payment, Operations]
        .into_iter()
        .flat_map(|purpose| access::permissions(purpose).iter().map(|permission| permission.name))
        .chain([access::REQUEST_ELIGIBILITY_CHECK])
}

#[cfg(test)]
mod tests;
