//! The authorization schema: the part of SpiceDB's schema language that Sluice evaluates itself.
//!
//! Supported: `use expiration`; comments; `definition`; `relation` with `type`, `type:*`, `type#relation`, each with or
//! without `with expiration`; `permission` with `+`, `&`, `-`, `->`, `.any(…)`, parentheses and `nil`. Everything else
//! that SpiceDB knows is a [`SchemaError`], and so are two different operators without parentheses.

mod error;
mod expiry;
mod lexer;
mod parser;
mod resolve;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
};

pub use error::{Place, Problem, SchemaError};
use sluice_schema::{access, viewer::PurposeOfUse};

use super::{MEMBER, RelationshipsError};

/// Sluice's own schema, `schema/authz/sluice.zed`.
pub const SCHEMA: &str = include_str!("../../../../schema/authz/sluice.zed");

/// A schema whose every name is known to exist.
#[derive(Debug, Clone)]
pub struct Schema {
    definitions: HashMap<Arc<str>, HashMap<Arc<str>, Item>>,
    /// Found when it is asked for first, and then asked for with every change.
    below_members: OnceLock<HashSet<Arc<str>>>,
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

/// A kind of relationship that the schema allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Writable<'s> {
    pub object_type: &'s str,
    pub relation: &'s str,
    pub subject_type: &'s str,
    pub subject: Subjects<'s>,
    /// Whether it must expire.
    pub expiring: bool,
}

/// Which subjects of their type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subjects<'s> {
    /// One object.
    Object,
    /// `type:*`.
    Everybody,
    /// Those in this relation to one object, or who have this permission on it.
    Set(&'s str),
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

    /// Whether a path of relationships may lead from a member to an object of this type.
    pub(super) fn is_below_members(&self, object_type: &str) -> bool {
        let below = || self.below(MEMBER).into_iter().map(Arc::from).collect();
        self.below_members.get_or_init(below).contains(object_type)
    }

    /// The types that a path of relationships may lead to from an object of this type: those of its subjects, of their
    /// subjects, and so on.
    fn below<'s>(&'s self, object_type: &'s str) -> HashSet<&'s str> {
        let (mut found, mut open) = (HashSet::new(), vec![object_type]);
        while let Some(object_type) = open.pop() {
            for item in self.definitions.get(object_type).into_iter().flat_map(HashMap::values) {
                let Item::Relation(allowed) = item else { continue };
                let types = allowed.iter().map(|one| &*one.object_type.text);
                open.extend(types.filter(|object_type| found.insert(*object_type)));
            }
        }
        found
    }

    /// Everything that may be written.
    pub fn writable(&self) -> impl Iterator<Item = Writable<'_>> {
        self.items().flat_map(|(object_type, name, item)| {
            let allowed = if let Item::Relation(allowed) = item { allowed.as_slice() } else { &[] };
            allowed.iter().map(move |one| Writable {
                object_type,
                relation: name,
                subject_type: &one.object_type.text,
                subject: match &one.kind {
                    AllowedKind::Object => Subjects::Object,
                    AllowedKind::Wildcard => Subjects::Everybody,
                    AllowedKind::Set(name) => Subjects::Set(&name.text),
                },
                expiring: one.expiring,
            })
        })
    }

    /// Every permission, behind its object's type.
    pub fn permissions(&self) -> impl Iterator<Item = (&str, &str)> {
        let permissions = self.items().filter(|(_, _, item)| matches!(item, Item::Permission(_)));
        permissions.map(|(object_type, name, _)| (object_type, name))
    }

    fn items(&self) -> impl Iterator<Item = (&str, &str, &Item)> {
        self.definitions
            .iter()
            .flat_map(|(object_type, items)| items.iter().map(move |(name, item)| (&**object_type, &**name, item)))
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
        .chain(access::ACTS)
}

#[cfg(test)]
mod tests;
