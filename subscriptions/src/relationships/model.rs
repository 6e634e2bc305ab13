//! The evaluator against a model that works the other way round: it builds the set of everybody who has a permission.

use std::{collections::BTreeSet, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{Check, ObjectRef, Relationship, RelationshipsError, Schema, SubjectRef, Tuples, Update, check, validate};

const TYPES: [&str; 3] = ["team", "folder", "document"];
const RELATIONS: [&str; 3] = ["people", "parent", "public"];
const PERMISSIONS: [&str; 3] = ["per0", "per1", "per2"];
const IDS: usize = 4;

/// What `people` and `parent` allow. The wildcard is in `public` only, which no set or arrow goes through.
const PEOPLE: [&str; 7] = [
    "user",
    "user with expiration",
    "team",
    "team#people",
    "folder#per2 with expiration",
    "document#per1",
    "document#people",
];
const PARENT: [&str; 4] = ["team", "folder with expiration", "document", "folder#people"];
const PUBLIC: [&str; 4] = ["user", "user:*", "user:* with expiration", "team with expiration"];

/// A permission's expression, rendered to text for the evaluator and evaluated as it is by the model.
#[derive(Debug, Clone)]
enum Rule {
    Nil,
    Own(&'static str),
    Arrow(&'static str, &'static str),
    Any(&'static str, &'static str),
    Chain(char, Vec<Rule>),
}

/// Permissions of an object refer to its relations and to the permissions before them.
fn rule(index: usize) -> impl Strategy<Value = Rule> {
    let own = [&RELATIONS[..], &PERMISSIONS[..index]].concat();
    let target = [&RELATIONS[..], &PERMISSIONS[..]].concat();
    let arrow = (prop::sample::select(&RELATIONS[..2]), prop::sample::select(target));
    let leaf = prop_oneof![
        1 => Just(Rule::Nil),
        6 => prop::sample::select(own).prop_map(Rule::Own),
        3 => arrow.clone().prop_map(|(relation, target)| Rule::Arrow(relation, target)),
        1 => arrow.prop_map(|(relation, target)| Rule::Any(relation, target)),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        let operator = prop::sample::select(vec!['+', '&', '-']);
        (operator, prop::collection::vec(inner, 2..4)).prop_map(|(operator, parts)| Rule::Chain(operator, parts))
    })
}

fn text(rule: &Rule) -> String {
    match rule {
        Rule::Nil => "nil".to_owned(),
        Rule::Own(name) => (*name).to_owned(),
        Rule::Arrow(relation, target) => format!("{relation}->{target}"),
        Rule::Any(relation, target) => format!("{relation}.any({target})"),
        Rule::Chain(operator, parts) => {
            let parts: Vec<String> = parts.iter().map(text).collect();
            format!("({})", parts.join(&format!(" {operator} ")))
        }
    }
}

#[derive(Debug, Clone)]
struct World {
    /// By type, then by permission.
    rules: Vec<Vec<Rule>>,
    relationships: Vec<Relationship>,
}

fn world() -> impl Strategy<Value = World> {
    let rules = prop::collection::vec((rule(0), rule(1), rule(2)).prop_map(|(a, b, c)| vec![a, b, c]), 3);
    let tuple = (0..3_usize, 0..IDS, 0..3_usize, any::<prop::sample::Index>(), 0..IDS, -1..2_i64);
    let tuples = prop::collection::vec(tuple, 0..40);
    (rules, tuples, prop::bool::weighted(0.8)).prop_map(|(rules, tuples, acyclic)| {
        let tuples = tuples.into_iter().filter_map(|(object_type, id, relation, allowed, subject, seconds)| {
            let allowed = *allowed.get([&PEOPLE[..], &PARENT[..], &PUBLIC[..]][relation]);
            let down = subject < id || allowed.starts_with("user");
            (down || !acyclic).then(|| tuple_of(TYPES[object_type], id, RELATIONS[relation], allowed, subject, seconds))
        });
        World { rules, relationships: tuples.collect() }
    })
}

fn tuple_of(object_type: &str, id: usize, relation: &str, allowed: &str, subject: usize, seconds: i64) -> Relationship {
    let expiring = allowed.strip_suffix(" with expiration");
    let kind = expiring.unwrap_or(allowed);
    let (kind, set) = kind.split_once('#').map_or((kind, None), |(kind, set)| (kind, Some(Arc::from(set))));
    let object = match kind.strip_suffix(":*") {
        Some(kind) => ObjectRef { object_type: kind.into(), id: "*".into() },
        None => object(kind, subject),
    };
    Relationship {
        resource: self::object(object_type, id),
        relation: relation.into(),
        subject: SubjectRef { object, relation: set },
        expires: expiring.map(|_| now() + SignedDuration::from_secs(seconds)),
    }
}

fn object(object_type: &str, id: usize) -> ObjectRef {
    ObjectRef { object_type: object_type.into(), id: format!("acme/{id}").into() }
}

fn now() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

impl World {
    fn schema(&self) -> String {
        let mut schema = "use expiration\ndefinition user {}\n".to_owned();
        for (object_type, rules) in TYPES.into_iter().zip(&self.rules) {
            schema.push_str(&format!("definition {object_type} {{\n"));
            for (relation, allowed) in RELATIONS.into_iter().zip([&PEOPLE[..], &PARENT[..], &PUBLIC[..]]) {
                schema.push_str(&format!("relation {relation}: {}\n", allowed.join(" | ")));
            }
            for (permission, rule) in PERMISSIONS.into_iter().zip(rules) {
                schema.push_str(&format!("permission {permission} = {}\n", text(rule)));
            }
            schema.push_str("}\n");
        }
        schema
    }

    /// Everybody in a relation or permission; `None` where it runs in a circle.
    fn everybody(&self, object: &ObjectRef, name: &str, above: &[(ObjectRef, String)]) -> Option<BTreeSet<ObjectRef>> {
        let here = (object.clone(), name.to_owned());
        if above.contains(&here) {
            return None;
        }
        let above = [above, &[here]].concat();
        let Some(object_type) = TYPES.iter().position(|known| **known == *object.object_type) else {
            return Some(BTreeSet::new());
        };
        match PERMISSIONS.iter().position(|known| *known == name) {
            Some(permission) => self.evaluate(object, &self.rules[object_type][permission], &above),
            None => self.related(object, name, &above),
        }
    }

    fn related(&self, object: &ObjectRef, name: &str, above: &[(ObjectRef, String)]) -> Option<BTreeSet<ObjectRef>> {
        let mut found = BTreeSet::new();
        for subject in self.subjects(object, name) {
            match &subject.relation {
                Some(set) => found.extend(self.everybody(&subject.object, set, above)?),
                None if *subject.object.id == *"*" => found.extend(users()),
                None => found.extend([subject.object.clone()]),
            }
        }
        Some(found)
    }

    fn subjects(&self, object: &ObjectRef, name: &str) -> Vec<&SubjectRef> {
        let mut found: Vec<&Relationship> = Vec::new();
        for one in self.relationships.iter().filter(|one| one.resource == *object && *one.relation == *name) {
            // The last write of a relationship counts.
            found.retain(|earlier| earlier.subject != one.subject);
            found.push(one);
        }
        found.retain(|one| one.expires.is_none_or(|expires| expires > now()));
        found.into_iter().map(|one| &one.subject).collect()
    }

    fn evaluate(&self, object: &ObjectRef, rule: &Rule, above: &[(ObjectRef, String)]) -> Option<BTreeSet<ObjectRef>> {
        match rule {
            Rule::Nil => Some(BTreeSet::new()),
            Rule::Own(name) => self.everybody(object, name, above),
            Rule::Arrow(relation, target) | Rule::Any(relation, target) => {
                let mut found = BTreeSet::new();
                for subject in self.subjects(object, relation) {
                    found.extend(self.everybody(&subject.object, target, above)?);
                }
                Some(found)
            }
            Rule::Chain(operator, parts) => {
                let mut sets = parts.iter().map(|part| self.evaluate(object, part, above));
                let first = sets.next()??;
                sets.try_fold(first, |left, right| {
                    let right = right?;
                    Some(match operator {
                        '+' => left.union(&right).cloned().collect(),
                        '&' => left.intersection(&right).cloned().collect(),
                        _ => left.difference(&right).cloned().collect(),
                    })
                })
            }
        }
    }
}

fn users() -> impl Iterator<Item = ObjectRef> {
    (0..IDS).map(|id| object("user", id))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_evaluator_agrees_with_the_model(world in world()) {
        let schema = Schema::parse(&world.schema()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let mut tuples = Tuples::default();
        for relationship in &world.relationships {
            let valid = validate::relationship(&schema, relationship, true);
            valid.map_err(|error| TestCaseError::fail(error.to_string()))?;
            // Long ago, so that nothing is dropped by the write itself.
            tuples.apply(Update::Touch(relationship.clone()), Timestamp::UNIX_EPOCH);
        }
        let resources = TYPES.iter().flat_map(|kind| (0..IDS).map(|id| object(kind, id)));
        for resource in resources {
            for name in RELATIONS.iter().chain(&PERMISSIONS) {
                let expected = world.everybody(&resource, name, &[]);
                for subject in users().chain((0..IDS).map(|id| object("team", id))) {
                    let question = Check { resource: resource.clone(), permission: (*name).into(), subject };
                    let answer = check(&schema, &tuples, now(), &question);
                    match (&expected, answer) {
                        (Some(expected), Ok(allowed)) => {
                            prop_assert_eq!(allowed.allowed, expected.contains(&question.subject), "{:?}", question);
                        }
                        (Some(_), Err(error)) => return Err(TestCaseError::fail(format!("{question:?}: {error}"))),
                        // In a circle the model knows no answer; the evaluator may have found one before it.
                        (None, answer) => {
                            prop_assert!(!matches!(answer, Err(RelationshipsError::Invalid(_))), "{:?}", question);
                        }
                    }
                }
            }
        }
    }
}
