//! Why a schema can't be evaluated.

use std::{fmt, sync::Arc};

/// Where in the text, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A schema that Sluice refuses at start-up, rather than evaluate it in another way than SpiceDB would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("authorization schema, {place}: {problem}")]
pub struct SchemaError {
    pub place: Place,
    pub problem: Problem,
}

impl SchemaError {
    pub(super) fn new(place: Place, problem: Problem) -> Self {
        Self { place, problem }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// SpiceDB knows it, the embedded evaluator does not.
    #[error("{what} can't be evaluated in process; {instead}")]
    Unsupported { what: &'static str, instead: &'static str },
    #[error("expected {expected}, found {found}")]
    Unexpected { found: String, expected: &'static str },
    #[error("this comment has no end; close it with */")]
    OpenComment,
    #[error(
        "`{0}` is no name; names are 3 to 64 of a-z, 0-9, _, begin with a letter, don't end with _, and are no keyword"
    )]
    BadName(Arc<str>),
    #[error("a statement ends with its line, so `{0}` can't begin one; put it at the end of the line before")]
    LineBreak(String),
    #[error(
        "`{first}` and `{second}` meet without parentheses; write (a {first} b) {second} c, or a {first} (b {second} c)"
    )]
    MixedOperators { first: &'static str, second: &'static str },
    #[error("`use expiration` must stand at the top of the file before `with expiration` can be used")]
    ExpirationNotEnabled,
    #[error("`use` must stand before the first definition; move it to the top of the file")]
    LateUse,
    #[error("`{0}` is defined twice; rename or remove one of the two")]
    Duplicate(Arc<str>),
    #[error("there is no definition `{0}`; define it, or look for a mistyped letter")]
    UnknownType(Arc<str>),
    #[error("`{object_type}` has no relation or permission `{name}`; define it, or look for a mistyped letter")]
    UnknownName { object_type: Arc<str>, name: Arc<str> },
    #[error("an arrow starts from a relation, and `{0}` is a permission; start from a relation that it is made of")]
    ArrowFromPermission(Arc<str>),
    #[error(
        "no subject type of relation `{relation}` has a relation or permission `{target}`; define it on one of them"
    )]
    ArrowToNowhere { relation: Arc<str>, target: Arc<str> },
    #[error(
        "`{0}` allows a wildcard, directly or through a set, so nothing can be reached through it; remove the wildcard"
    )]
    ThroughWildcard(Arc<str>),
}
