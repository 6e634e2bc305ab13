//! A subscription has exactly one root field (GraphQL, October 2021, 5.2.3.1). async-graphql 7.2 drops root fields that
//! come through fragments and runs a second one; so fragments at the root are spelled out here, and anything but one field
//! is refused.

use std::collections::HashSet;

use async_graphql::{
    Name, Positioned,
    parser::types::{DocumentOperations, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet},
};
use sluice_schema::error::{ClientError, Code};

type Fragments = std::collections::HashMap<Name, Positioned<async_graphql::parser::types::FragmentDefinition>>;

/// Leaves the operation's root with its one field, and the document without the fragments that only led there.
pub(super) fn root_fields(document: &mut ExecutableDocument, name: Option<&str>) -> Result<(), ClientError> {
    let mut used = HashSet::new();
    let definition = match &mut document.operations {
        DocumentOperations::Single(operation) => Some(operation),
        DocumentOperations::Multiple(operations) => match name {
            Some(name) => operations.get_mut(name),
            // A document's one operation may have a name that nobody repeats.
            None => operations.values_mut().next(),
        },
    };
    let Some(definition) = definition else { return Err(refuse("there is no operation")) };
    let mut fields = Vec::new();
    collect(&definition.node.selection_set.node, &document.fragments, &mut used, &mut fields)?;
    definition.node.selection_set.node.items = vec![one(fields)?];
    let reachable = reachable(document);
    document.fragments.retain(|name, _| reachable.contains(name) || !used.contains(name));
    Ok(())
}

fn collect(
    set: &SelectionSet,
    fragments: &Fragments,
    used: &mut HashSet<Name>,
    fields: &mut Vec<Positioned<Field>>,
) -> Result<(), ClientError> {
    for item in &set.items {
        if !item.node.directives().is_empty() {
            return Err(refuse("its root selections take no directives"));
        }
        let (on, inner) = match &item.node {
            Selection::Field(field) => {
                fields.push(field.clone());
                continue;
            }
            Selection::InlineFragment(fragment) => {
                (fragment.node.type_condition.as_ref(), &fragment.node.selection_set.node)
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                let fragment = fragments.get(name).ok_or_else(|| refuse("it names a fragment that is not there"))?;
                if !used.insert(name.clone()) {
                    return Err(refuse("it names a fragment at its root twice"));
                }
                (Some(&fragment.node.type_condition), &fragment.node.selection_set.node)
            }
        };
        if on.is_some_and(|on| on.node.on.node != "Subscription") {
            return Err(refuse("a fragment at its root is not on Subscription"));
        }
        collect(inner, fragments, used, fields)?;
    }
    Ok(())
}

fn one(fields: Vec<Positioned<Field>>) -> Result<Positioned<Selection>, ClientError> {
    let Ok([field]) = <[_; 1]>::try_from(fields) else {
        return Err(refuse("it has more than one root field, or none"));
    };
    if field.node.name.node.starts_with("__") {
        return Err(refuse("its root field is one of introspection"));
    }
    Ok(Positioned::new(Selection::Field(field.clone()), field.pos))
}

/// The fragments that any operation still leads to.
fn reachable(document: &ExecutableDocument) -> HashSet<Name> {
    let mut found = HashSet::new();
    let mut to_visit: Vec<&SelectionSet> = document
        .operations
        .iter()
        .map(|(_, operation): (_, &Positioned<OperationDefinition>)| &operation.node.selection_set.node)
        .collect();
    while let Some(set) = to_visit.pop() {
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => to_visit.push(&field.node.selection_set.node),
                Selection::InlineFragment(fragment) => to_visit.push(&fragment.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if let (true, Some(fragment)) = (found.insert(name.clone()), document.fragments.get(name)) {
                        to_visit.push(&fragment.node.selection_set.node);
                    }
                }
            }
        }
    }
    found
}

fn refuse(why: &str) -> ClientError {
    ClientError::new(Code::ValidationFailed, format!("A subscription asks for exactly one field: {why}."))
}
