//! The text that tells projections apart: the root field's response key, name and selection, with fragments spelled out
//! and variables replaced by their values. The root field's own arguments are left out: they say what is watched, not how
//! it looks.

use std::fmt::Write;

use async_graphql::parser::types::VariableDefinition;
use async_graphql::{
    Name, Positioned, Value as ConstValue,
    parser::types::{Directive, ExecutableDocument, OperationDefinition, Selection, SelectionSet},
};
use serde_json::{Map, Value};

/// How deep fragments are followed: documents that need more are over the depth limit anyway.
const DEPTH: usize = 32;

struct Printer<'d> {
    document: &'d ExecutableDocument,
    definitions: &'d [Positioned<VariableDefinition>],
    variables: &'d Map<String, Value>,
    out: String,
}

/// Prints an operation that has one root field.
pub(crate) fn canonical(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Map<String, Value>,
) -> String {
    let mut printer = Printer { document, definitions: &operation.variable_definitions, variables, out: String::new() };
    for item in &operation.selection_set.node.items {
        if let Selection::Field(field) = &item.node {
            printer.head(field.node.alias.as_ref(), &field.node.name.node);
            printer.set(&field.node.selection_set.node, 0);
        }
    }
    printer.out
}

impl Printer<'_> {
    fn head(&mut self, alias: Option<&Positioned<Name>>, name: &Name) {
        if let Some(alias) = alias {
            let _ = write!(self.out, "{}:", alias.node);
        }
        self.out.push_str(name);
    }

    fn set(&mut self, set: &SelectionSet, depth: usize) {
        if set.items.is_empty() || depth > DEPTH {
            return;
        }
        self.out.push('{');
        for item in &set.items {
            self.selection(&item.node, depth + 1);
            self.out.push(' ');
        }
        self.out.push('}');
    }

    fn selection(&mut self, selection: &Selection, depth: usize) {
        match selection {
            Selection::Field(field) => {
                self.head(field.node.alias.as_ref(), &field.node.name.node);
                self.arguments(&field.node.arguments);
                self.directives(&field.node.directives);
                self.set(&field.node.selection_set.node, depth);
            }
            Selection::InlineFragment(fragment) => {
                let on = fragment.node.type_condition.as_ref().map(|on| &on.node.on.node);
                self.fragment(on, &fragment.node.directives, &fragment.node.selection_set.node, depth);
            }
            Selection::FragmentSpread(spread) => {
                let fragment = self.document.fragments.get(&spread.node.fragment_name.node);
                if let Some(fragment) = fragment {
                    let on = &fragment.node.type_condition.node.on.node;
                    self.fragment(Some(on), &spread.node.directives, &fragment.node.selection_set.node, depth);
                }
            }
        }
    }

    fn fragment(&mut self, on: Option<&Name>, directives: &[Positioned<Directive>], set: &SelectionSet, depth: usize) {
        self.out.push_str("...");
        if let Some(on) = on {
            self.out.push_str(on);
        }
        self.directives(directives);
        self.set(set, depth);
    }

    fn directives(&mut self, directives: &[Positioned<Directive>]) {
        for directive in directives {
            let _ = write!(self.out, "@{}", directive.node.name.node);
            self.arguments(&directive.node.arguments);
        }
    }

    fn arguments(&mut self, arguments: &[(Positioned<Name>, Positioned<async_graphql_value::Value>)]) {
        if arguments.is_empty() {
            return;
        }
        self.out.push('(');
        for (name, value) in arguments {
            let value =
                value.node.clone().into_const_with(|name| Ok::<_, std::convert::Infallible>(self.variable(&name)));
            let Ok(value) = value;
            let _ = write!(self.out, "{}:{value} ", name.node);
        }
        self.out.push(')');
    }

    fn variable(&self, name: &Name) -> ConstValue {
        let given = self.variables.get(name.as_str()).cloned().and_then(|value| ConstValue::from_json(value).ok());
        let default = || {
            let definition = self.definitions.iter().find(|definition| definition.node.name.node == *name)?;
            definition.node.default_value().cloned()
        };
        given.or_else(default).unwrap_or(ConstValue::Null)
    }
}
