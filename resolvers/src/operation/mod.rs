//! A request before it is executed: parsed, within the limits, and of one kind.

mod canonical;
mod hoist;
mod tokens;

use async_graphql::{
    Request, Variables,
    parser::{
        parse_query,
        types::{ExecutableDocument, OperationDefinition, OperationType as Parsed, Selection, SelectionSet},
    },
};
use serde_json::{Map, Value};
use sluice_schema::error::{ClientError, Code};

pub(crate) use canonical::canonical;

/// A GraphQL request as a transport reads it.
#[derive(Debug, Clone, Default)]
pub struct RawRequest {
    pub query: String,
    pub operation_name: Option<String>,
    pub variables: Map<String, Value>,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationType {
    Query,
    Mutation,
    Subscription,
}

/// How much a request may ask for, on every transport alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub max_depth: usize,
    pub max_complexity: usize,
    pub max_aliases: usize,
    pub max_tokens: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_depth: 10, max_complexity: 1000, max_aliases: 15, max_tokens: 1000 }
    }
}

/// A parsed request, within the limits that need no schema.
#[derive(Debug, Clone)]
pub struct Operation {
    pub(crate) kind: OperationType,
    document: ExecutableDocument,
    name: Option<String>,
    variables: Map<String, Value>,
}

impl Operation {
    /// Parses a request and holds it against the limits that need no schema.
    ///
    /// # Errors
    /// `GRAPHQL_PARSE_FAILED`, `LIMIT_EXCEEDED`, or `GRAPHQL_VALIDATION_FAILED` where no operation is meant.
    pub(crate) fn parse(raw: RawRequest, limits: &Limits) -> Result<Self, ClientError> {
        if tokens::count(&raw.query, limits.max_tokens) > limits.max_tokens {
            return Err(over("tokens", limits.max_tokens));
        }
        let document = parse_query(&raw.query).map_err(|error| syntax(&error))?;
        if aliases(&document) > limits.max_aliases {
            return Err(over("aliases", limits.max_aliases));
        }
        let definition = pick(&document, raw.operation_name.as_deref())?;
        let variables = with_defaults(definition, raw.variables);
        let kind = match definition.ty {
            Parsed::Query => OperationType::Query,
            Parsed::Mutation => OperationType::Mutation,
            Parsed::Subscription => OperationType::Subscription,
        };
        let mut operation = Self { kind, document, name: raw.operation_name, variables };
        if kind == OperationType::Subscription {
            hoist::root_fields(&mut operation.document, operation.name.as_deref())?;
        }
        Ok(operation)
    }

    pub fn operation_type(&self) -> OperationType {
        self.kind
    }

    /// For async-graphql.
    pub(crate) fn request(&self) -> Request {
        let variables = Variables::from_json(self.variables.clone().into());
        let mut request = Request::new(String::new()).variables(variables);
        request.operation_name.clone_from(&self.name);
        request.set_parsed_query(self.document.clone());
        request
    }

    /// What subscribers of one group have in common, as text.
    pub(crate) fn projection_key(&self) -> Result<String, ClientError> {
        let definition = pick(&self.document, self.name.as_deref())?;
        Ok(canonical(&self.document, definition, &self.variables))
    }
}

/// A variable that is not given has its default (GraphQL, October 2021, 6.1.2). async-graphql 7.2 knows that everywhere but
/// in `@skip` and `@include`.
fn with_defaults(definition: &OperationDefinition, mut variables: Map<String, Value>) -> Map<String, Value> {
    for variable in definition.variable_definitions.iter().map(|variable| &variable.node) {
        let default = variable.default_value.as_ref().and_then(|default| default.node.clone().into_json().ok());
        if let Some(default) = default {
            variables.entry(variable.name.node.as_str()).or_insert(default);
        }
    }
    variables
}

/// The operation that is meant.
fn pick<'d>(document: &'d ExecutableDocument, name: Option<&str>) -> Result<&'d OperationDefinition, ClientError> {
    let named = |wanted: &str| document.operations.iter().find(|(name, _)| name.is_some_and(|name| name == wanted));
    let picked = match (name, document.operations.iter().len()) {
        (Some(name), _) => named(name),
        (None, 1) => document.operations.iter().next(),
        (None, _) => None,
    };
    picked.map(|(_, operation)| &operation.node).ok_or_else(|| {
        ClientError::new(
            Code::ValidationFailed,
            "Name one of the document's operations in `operationName`, as it is written there.",
        )
    })
}

fn over(what: &str, limit: usize) -> ClientError {
    ClientError::new(
        Code::LimitExceeded,
        format!("The document has more than {limit} {what}: ask for less, or in parts."),
    )
}

fn syntax(error: &async_graphql::parser::Error) -> ClientError {
    let at =
        error.positions().next().map(|at| format!(" at line {}, column {}", at.line, at.column)).unwrap_or_default();
    ClientError::new(Code::ParseFailed, format!("The document is not GraphQL: look{at}."))
}

fn aliases(document: &ExecutableDocument) -> usize {
    let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
    let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set.node);
    operations.chain(fragments).map(aliases_in).sum()
}

fn aliases_in(set: &SelectionSet) -> usize {
    let count = |selection: &Selection| match selection {
        Selection::Field(field) => usize::from(field.node.alias.is_some()) + aliases_in(&field.node.selection_set.node),
        Selection::InlineFragment(fragment) => aliases_in(&fragment.node.selection_set.node),
        Selection::FragmentSpread(_) => 0,
    };
    set.items.iter().map(|item| count(&item.node)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Operation, ClientError> {
        Operation::parse(RawRequest { query: query.into(), ..RawRequest::default() }, &Limits::default())
    }

    fn code(query: &str) -> Code {
        parse(query).expect_err(query).code
    }

    #[test]
    fn refuses_before_it_executes() {
        assert_eq!(code("{"), Code::ParseFailed);
        assert_eq!(code(&format!("{{ {} }}", "a ".repeat(1000))), Code::LimitExceeded);
        let aliases: String = (0..16).map(|i| format!("a{i}: x ")).collect();
        assert_eq!(code(&format!("{{ {aliases} }}")), Code::LimitExceeded);
        assert_eq!(code(&format!("query A {{ ...F }} fragment F on Query {{ {aliases} }}")), Code::LimitExceeded);
        assert_eq!(code("query A { a } query B { b }"), Code::ValidationFailed);
    }

    #[test]
    fn tells_the_kinds_apart() {
        assert_eq!(parse("{ a }").expect("parses").kind, OperationType::Query);
        assert_eq!(parse("mutation { a }").expect("parses").kind, OperationType::Mutation);
        assert_eq!(parse("subscription { a }").expect("parses").kind, OperationType::Subscription);
    }

    #[test]
    fn a_subscription_has_one_root_field_also_through_fragments() {
        let roots = |query: &str| parse(query).map(|operation| operation.projection_key().expect("has one"));
        assert!(
            roots("subscription { ...A } fragment A on Subscription { x { y } }").expect("one field").starts_with("x{")
        );
        assert!(roots("subscription { ... on Subscription { x { y } } }").is_ok());
        for two in [
            "subscription { a b }",
            "subscription { ...A b } fragment A on Subscription { a }",
            "subscription { __typename }",
            "subscription { a @include(if: true) { y } }",
            "subscription { ...A @skip(if: false) } fragment A on Subscription { a }",
            "subscription { ...A } fragment A on Subscription { ...A }",
            "subscription { ...A } fragment A on Query { a }",
            "subscription { ...Missing }",
        ] {
            assert_eq!(code(two), Code::ValidationFailed, "{two}");
        }
    }

    fn key(query: &str, variables: Value) -> String {
        let variables = variables.as_object().cloned().unwrap_or_default();
        let raw = RawRequest { query: query.into(), variables, ..RawRequest::default() };
        Operation::parse(raw, &Limits::default()).expect(query).projection_key().expect("one root field")
    }

    #[test]
    fn equal_selections_have_equal_keys_whatever_they_watch() {
        let none = || serde_json::json!({});
        let mine = key("subscription { memberEligibility(memberId: \"m-1\") { id coverage { active } } }", none());
        let with_variable = "subscription S($m: ID!) { memberEligibility(memberId: $m) { ...C } } fragment C on EligibilityCheck { id coverage { active } }";
        assert_ne!(mine, key("subscription { memberEligibility(memberId: \"m-1\") { id } }", none()));
        assert_ne!(
            mine,
            key("subscription { e: memberEligibility(memberId: \"m-1\") { id coverage { active } } }", none())
        );
        let theirs = key(with_variable, serde_json::json!({ "m": "m-2" }));
        assert_eq!(theirs, key(with_variable, serde_json::json!({ "m": "m-3" })));
        let directive = "subscription S($m: ID!, $c: Boolean = false) { memberEligibility(memberId: $m) { id coverage @include(if: $c) { active } } }";
        let with = |c: bool| key(directive, serde_json::json!({ "m": "m-1", "c": c }));
        assert_ne!(with(true), with(false), "a variable that is used in the selection tells groups apart");
        assert_eq!(with(false), key(directive, serde_json::json!({ "m": "m-1" })), "a default is a value");
    }
}
