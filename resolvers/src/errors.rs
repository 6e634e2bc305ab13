//! Client-safe errors in GraphQL's shape. Everything that a resolver refuses goes through [`fail`]: `?` alone would lose
//! the code.

use async_graphql::{Context, Error, ErrorExtensionValues, ServerError, Value};
use sluice_domain::eligibility::reader::ReadError;
use sluice_schema::error::{ClientError, Code};
use sluice_subscriptions::access::AccessUnavailable;

pub(crate) fn fail(error: ClientError) -> Error {
    let mut extensions = ErrorExtensionValues::default();
    for (name, value) in &error.details {
        extensions.set(name, Value::from_json(value.clone()).unwrap_or_default());
    }
    extensions.set("code", error.code.as_str());
    Error { message: error.message.into_owned(), source: None, extensions: Some(extensions) }
}

/// For `_entities`: one that may not be seen is `null` and has its error; the others of the same answer are untouched.
pub(crate) fn or_null<T>(ctx: &Context<'_>, result: async_graphql::Result<T>) -> Option<T> {
    result.map_err(|error| ctx.add_error(ctx.set_error_path(error.into_server_error(ctx.item.pos)))).ok()
}

/// No answer about permission is no data.
pub(crate) fn undecided(error: AccessUnavailable) -> ClientError {
    // Told once by what asks the relationships, not for each who is refused.
    tracing::debug!(%error, "nothing is shown");
    ClientError::unavailable()
}

/// A state that can't be read: a fault of ours, or a store that is away, which is told once by what asks it.
pub(crate) fn unreadable(error: ReadError) -> ClientError {
    if error.is_outage() {
        tracing::debug!(%error, "a state can't be read now");
    } else {
        tracing::error!(%error, "a state can't be read");
    }
    error.to_client()
}

/// Gives an error that async-graphql made its code: those of validation have none.
pub(crate) fn coded(mut error: ServerError, code: Code) -> ServerError {
    let extensions = error.extensions.get_or_insert_default();
    if extensions.get("code").is_none() {
        extensions.set("code", code.as_str());
    }
    error
}

/// What async-graphql says when its own limits are passed.
pub(crate) fn validation_code(error: &ServerError) -> Code {
    match error.message.as_str() {
        "Query is too complex." | "Query is nested too deep." => Code::LimitExceeded,
        message if message.starts_with("The recursion depth") || message.starts_with("The number of directives") => {
            Code::LimitExceeded
        }
        _ => Code::ValidationFailed,
    }
}
