//! At start-up: no argument of a query or subscription lets anybody find out by asking what she may not see.
//!
//! Whoever may ask for "the checks whose plan is X" reads the plan, whether or not she sees it. So an argument that filters or
//! orders by a field counts as reading it, and has to be held against that field's label before it decides anything. There is
//! none yet: each argument that there is, is declared here with what it does instead.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, Type, TypeKind, TypeSystemDefinition},
};

/// What an argument does that tells nothing about a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plain {
    /// Names one thing by its opaque id; what is not there and what is not hers are answered alike.
    Names,
    /// Where in a list or a stream it begins, and how much of it.
    Pages,
    /// Which channels: ids, and no field's value. Each event is decided on its own.
    Routes,
}

/// All arguments of queries and subscriptions, and fields of the inputs that they take.
const ARGUMENTS: &[(&str, Plain)] = &[
    ("Query.eligibilityCheck.id", Plain::Names),
    ("Query.member.id", Plain::Names),
    ("Query._entities.representations", Plain::Names),
    ("MemberEligibility.checks.after", Plain::Pages),
    ("MemberEligibility.checks.first", Plain::Pages),
    ("Subscription.eligibilityCheckUpdated.id", Plain::Names),
    ("Subscription.eligibilityCheckUpdated.after", Plain::Pages),
    ("Subscription.memberEligibility.memberId", Plain::Names),
    ("Subscription.memberEligibility.after", Plain::Pages),
    ("Subscription.events.channel", Plain::Routes),
    ("Subscription.events.after", Plain::Pages),
];

/// Holds the schema against what is declared.
///
/// # Errors
/// Names each argument that is not, with what to do about it.
pub(crate) fn check(sdl: &str) -> Result<(), String> {
    let undeclared: Vec<_> = arguments(sdl)?.into_iter().filter(|name| !is_declared(name)).collect();
    if undeclared.is_empty() {
        return Ok(());
    }
    Err(format!(
        "nobody can say what these arguments tell about fields that the viewer may not see: {}. One that filters or orders by a \
         field counts as reading it: refuse it where the viewer's mask does not open that field's label. Then declare it in \
         resolvers/src/arguments.rs (docs/adding-a-capability.md)",
        undeclared.join(", ")
    ))
}

fn is_declared(name: &str) -> bool {
    ARGUMENTS.iter().any(|(declared, _)| *declared == name)
}

/// `Type.field.argument` of every object type but the root of mutations, which change what they name; `Input.field` of each
/// input that such an argument takes.
fn arguments(sdl: &str) -> Result<BTreeSet<String>, String> {
    let document = parse_schema(sdl).map_err(|error| format!("the schema's own SDL does not parse: {error}"))?;
    let (mut found, mut inputs, mut taken) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
    for definition in &document.definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let name = definition.node.name.node.as_str();
        match &definition.node.kind {
            TypeKind::Object(object) if name != "Mutation" => {
                for field in &object.fields {
                    for argument in &field.node.arguments {
                        found.insert(format!("{name}.{}.{}", field.node.name.node, argument.node.name.node));
                        taken.push(named(&argument.node.ty.node));
                    }
                }
            }
            TypeKind::InputObject(input) => {
                inputs.insert(name, &input.fields);
            }
            _ => {}
        }
    }
    while let Some(name) = taken.pop() {
        for field in inputs.remove(name).into_iter().flatten() {
            found.insert(format!("{name}.{}", field.node.name.node));
            taken.push(named(&field.node.ty.node));
        }
    }
    Ok(found)
}

/// Through lists.
fn named(of: &Type) -> &str {
    match &of.base {
        BaseType::Named(name) => name.as_str(),
        BaseType::List(of) => named(of),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_is_what_there_is() {
        let there_are = arguments(&crate::roots::builder().finish().sdl()).expect("parses");
        let declared: BTreeSet<_> = ARGUMENTS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(there_are, declared, "see the head of this file for a new one");
    }

    #[test]
    fn one_that_is_not_declared_is_named_with_what_to_do_wherever_it_is() {
        let sdl = "type Query { member(id: ID!, planName: String): Member, find(by: [By!]): Member }
            type Member { checks(where: [[Where!]!]): Int }
            type Mutation { ask(input: Asked): Int }
            input By { state: Where, id: ID } input Where { is: Where, rejected: Boolean } input Asked { x: Int }";
        let told = check(sdl).expect_err("filters");
        let names =
            "By.id, By.state, Member.checks.where, Query.find.by, Query.member.planName, Where.is, Where.rejected";
        assert!(told.contains(&format!(": {names}. One that filters")), "{told}");
    }
}
