//! Looks up every name that a schema uses.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
};

use super::{
    Allowed, AllowedKind, Expression, Item, Name, Schema,
    error::{Problem, SchemaError},
    parser::Definition,
};

pub(super) fn resolve(parsed: Vec<Definition>) -> Result<Schema, SchemaError> {
    let mut schema = Schema { definitions: HashMap::new(), below_members: OnceLock::new() };
    for Definition { name, items } in parsed {
        let mut known = HashMap::new();
        for (item_name, item) in items {
            if known.insert(item_name.text.clone(), item).is_some() {
                return Err(problem(&item_name, Problem::Duplicate));
            }
        }
        if schema.definitions.insert(name.text.clone(), known).is_some() {
            return Err(problem(&name, Problem::Duplicate));
        }
    }
    first_problem(&schema).map_or(Ok(schema), Err)
}

/// The first in the text, so that the same schema always gives the same error.
fn first_problem(schema: &Schema) -> Option<SchemaError> {
    let items =
        schema.definitions.iter().flat_map(|(object_type, items)| items.values().map(move |i| (object_type, i)));
    items
        .filter_map(|(object_type, item)| {
            let scope = Scope { schema, object_type };
            match item {
                Item::Relation(allowed) => scope.allowed(allowed).err(),
                Item::Permission(expression) => scope.expression(expression).err(),
            }
        })
        .min_by_key(|error| (error.place.line, error.place.column))
}

fn problem(name: &Name, problem: impl FnOnce(Arc<str>) -> Problem) -> SchemaError {
    SchemaError::new(name.place, problem(name.text.clone()))
}

struct Scope<'a> {
    schema: &'a Schema,
    object_type: &'a Arc<str>,
}

impl<'a> Scope<'a> {
    fn allowed(&self, allowed: &[Allowed]) -> Result<(), SchemaError> {
        for (i, one) in allowed.iter().enumerate() {
            if allowed[..i].contains(one) {
                return Err(problem(&one.object_type, Problem::Duplicate));
            }
            if !self.schema.knows_type(&one.object_type.text) {
                return Err(problem(&one.object_type, Problem::UnknownType));
            }
            if let AllowedKind::Set(set) = &one.kind {
                self.find(&one.object_type.text, set)?;
                // As in SpiceDB: everybody of a type can't be a part of a set.
                if self.wildcard(&one.object_type.text, &set.text, &mut HashSet::new()) {
                    return Err(problem(set, Problem::ThroughWildcard));
                }
            }
        }
        Ok(())
    }

    fn expression(&self, expression: &Expression) -> Result<(), SchemaError> {
        match expression {
            Expression::Nil => Ok(()),
            Expression::Own(name) => self.find(self.object_type, name).map(|_| ()),
            Expression::Arrow { relation, target } => self.arrow(relation, target),
            Expression::Union(parts) | Expression::Intersection(parts) | Expression::Exclusion(parts) => {
                parts.iter().try_for_each(|part| self.expression(part))
            }
        }
    }

    fn arrow(&self, relation: &Name, target: &Name) -> Result<(), SchemaError> {
        let Item::Relation(allowed) = self.find(self.object_type, relation)? else {
            return Err(problem(relation, Problem::ArrowFromPermission));
        };
        if self.wildcard(self.object_type, &relation.text, &mut HashSet::new()) {
            return Err(problem(relation, Problem::ThroughWildcard));
        }
        // A type without the target is a no at evaluation, as in SpiceDB; none with it is a mistake.
        if allowed.iter().any(|one| self.schema.item(&one.object_type.text, &target.text).is_some()) {
            return Ok(());
        }
        let relation = relation.text.clone();
        Err(problem(target, |target| Problem::ArrowToNowhere { relation, target }))
    }

    fn find(&self, object_type: &Arc<str>, name: &Name) -> Result<&'a Item, SchemaError> {
        let unknown = |name| Problem::UnknownName { object_type: object_type.clone(), name };
        self.schema.item(object_type, &name.text).ok_or_else(|| problem(name, unknown))
    }

    /// Whether a relation allows a wildcard, itself or through the sets that it allows.
    fn wildcard(&self, object_type: &'a str, name: &'a str, seen: &mut HashSet<(&'a str, &'a str)>) -> bool {
        let Some(Item::Relation(allowed)) = self.schema.item(object_type, name) else { return false };
        seen.insert((object_type, name))
            && allowed.iter().any(|one| match &one.kind {
                AllowedKind::Object => false,
                AllowedKind::Wildcard => true,
                AllowedKind::Set(set) => self.wildcard(&one.object_type.text, &set.text, seen),
            })
    }
}
