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

/// Whether the subject has the permission (or stands in the relation) on the resource, at an instant.
///
/// # Errors
///
/// `Invalid` for a name that the schema lacks or an id that can't be one. `Unavailable` where the relationships run
/// in a circle, are nested deeper than [`MAX_DEPTH`] or are too many to follow, and the subject was not found before
/// that showed: never a yes or no then.
pub fn check(schema: &Schema, tuples: &Tuples, now: Timestamp, check: &Check) -> Result<bool, RelationshipsError> {
    validate::check(schema, check)?;
    let subject = SubjectRef { object: check.subject.clone(), relation: None };
    let mut walk = Walk { schema, tuples, now, subject, steps: 0 };
    walk.has(&check.resource, &check.permission, MAX_DEPTH)
}

struct Walk<'a> {
    schema: &'a Schema,
    tuples: &'a Tuples,
    now: Timestamp,
    subject: SubjectRef,
    steps: u32,
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
        if self.tuples.holds(object, relation, &self.subject, self.now)
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
    fn is_public(&self, object: &ObjectRef, relation: &str) -> bool {
        let everybody = ObjectRef { object_type: self.subject.object.object_type.clone(), id: "*".into() };
        self.tuples.holds(object, relation, &SubjectRef { object: everybody, relation: None }, self.now)
    }

    /// Whether the subject is in one of the sets (`care_team:acme/t-1#member`) that stand in the relation.
    fn in_a_set(&mut self, object: &'a ObjectRef, relation: &'a str, depth: u32) -> Result<bool, RelationshipsError> {
        for set in self.tuples.subjects(object, relation, self.now) {
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
        for subject in self.tuples.subjects(object, relation, self.now) {
            if self.has(&subject.object, target, depth - 1)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
