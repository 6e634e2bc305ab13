//! The evaluator: a pure function from a schema, relationships and an instant to an answer, equal to SpiceDB's.

use jiff::Timestamp;

use super::{
    Check, ObjectRef, RelationshipsError, SubjectRef, Tuples,
    schema::{Allowed, AllowedKind, Expression, Item, Schema},
    validate,
};

/// How many relations and permissions may be followed one into the other; SpiceDB's default.
pub const MAX_DEPTH: u32 = 50;
/// How many may be looked at for one check: far more than any sane set of relationships needs.
const MAX_STEPS: u32 = 100_000;

/// An answer, and the instant from which on it may be another although nothing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub allowed: bool,
    pub until: Option<Timestamp>,
}

/// Whether the subject has the permission (or stands in the relation) on the resource, at an instant.
///
/// # Errors
///
/// `Invalid` for a name that the schema lacks or an id that can't be one. `Unavailable` where the relationships run
/// in a circle, are nested deeper than [`MAX_DEPTH`] or are too many to follow, and the subject was not found before
/// that showed: never a yes or no then.
pub fn check(schema: &Schema, tuples: &Tuples, now: Timestamp, check: &Check) -> Result<Answer, RelationshipsError> {
    validate::check(schema, check)?;
    let subject = SubjectRef { object: check.subject.clone(), relation: None };
    let mut walk = Walk { schema, tuples, now, subject, steps: 0, until: None };
    let allowed = walk.has(&check.resource, &check.permission, MAX_DEPTH)?;
    Ok(Answer { allowed, until: walk.until })
}

struct Walk<'a> {
    schema: &'a Schema,
    tuples: &'a Tuples,
    now: Timestamp,
    subject: SubjectRef,
    steps: u32,
    /// The first expiration of all that counted.
    until: Option<Timestamp>,
}

impl<'a> Walk<'a> {
    fn has(&mut self, object: &'a ObjectRef, name: &'a str, depth: u32) -> Result<bool, RelationshipsError> {
        self.steps += 1;
        if depth == 0 || self.steps > MAX_STEPS {
            return Err(RelationshipsError::Unavailable(format!(
                "relationships under a `{}` run in a circle, are nested deeper than {MAX_DEPTH}, or are too many to \
                 follow; remove some of them",
                object.object_type
            )));
        }
        match self.schema.item(&object.object_type, name) {
            // An arrow came to an object whose type lacks the target.
            None => Ok(false),
            Some(Item::Permission(expression)) => self.expression(object, expression, depth),
            Some(Item::Relation(allowed)) => self.relation(object, name, allowed, depth),
        }
    }

    fn relation(
        &mut self,
        object: &'a ObjectRef,
        relation: &'a str,
        allowed: &[Allowed],
        depth: u32,
    ) -> Result<bool, RelationshipsError> {
        let allows = |kind: fn(&AllowedKind) -> bool| allowed.iter().any(|one| kind(&one.kind));
        if self.holds(object, relation, None)
            || allows(|kind| *kind == AllowedKind::Wildcard) && self.is_public(object, relation)
        {
            return Ok(true);
        }
        if allows(|kind| matches!(kind, AllowedKind::Set(_))) {
            return self.in_a_set(object, relation, depth);
        }
        Ok(false)
    }

    /// Whether everybody of the subject's type stands in the relation.
    fn is_public(&mut self, object: &ObjectRef, relation: &str) -> bool {
        let everybody = ObjectRef { object_type: self.subject.object.object_type.clone(), id: "*".into() };
        self.holds(object, relation, Some(&SubjectRef { object: everybody, relation: None }))
    }

    /// Whether another subject, or the one that is asked about, stands in the relation itself.
    fn holds(&mut self, object: &ObjectRef, relation: &str, other: Option<&SubjectRef>) -> bool {
        let found = self.tuples.find(object, relation, other.unwrap_or(&self.subject), self.now);
        self.note(found.flatten());
        found.is_some()
    }

    fn note(&mut self, expires: Option<Timestamp>) {
        self.until = self.until.into_iter().chain(expires).min();
    }

    /// Whether the subject is in one of the sets (`care_team:acme/t-1#member`) that stand in the relation.
    fn in_a_set(&mut self, object: &'a ObjectRef, relation: &'a str, depth: u32) -> Result<bool, RelationshipsError> {
        for (set, expires) in self.tuples.subjects(object, relation, self.now) {
            self.note(expires);
            if let Some(name) = &set.relation
                && self.has(&set.object, name, depth - 1)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn expression(
        &mut self,
        object: &'a ObjectRef,
        expression: &'a Expression,
        depth: u32,
    ) -> Result<bool, RelationshipsError> {
        match expression {
            Expression::Nil => Ok(false),
            Expression::Own(name) => self.has(object, &name.text, depth - 1),
            Expression::Arrow { relation, target } => self.arrow(object, &relation.text, &target.text, depth),
            Expression::Union(parts) => self.any(object, parts, depth),
            Expression::Intersection(parts) => {
                for part in parts {
                    if !self.expression(object, part, depth)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Expression::Exclusion(parts) => {
                let Some((base, others)) = parts.split_first() else { return Ok(false) };
                Ok(self.expression(object, base, depth)? && !self.any(object, others, depth)?)
            }
        }
    }

    fn any(&mut self, object: &'a ObjectRef, parts: &'a [Expression], depth: u32) -> Result<bool, RelationshipsError> {
        for part in parts {
            if self.expression(object, part, depth)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Walks to every object in the relation. Of a set only the object counts, as in SpiceDB.
    fn arrow(
        &mut self,
        object: &'a ObjectRef,
        relation: &'a str,
        target: &'a str,
        depth: u32,
    ) -> Result<bool, RelationshipsError> {
        for (subject, expires) in self.tuples.subjects(object, relation, self.now) {
            self.note(expires);
            if self.has(&subject.object, target, depth - 1)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
