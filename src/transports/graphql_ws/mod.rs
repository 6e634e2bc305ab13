//! graphql-transport-ws, to the letter of graphql-ws's PROTOCOL.md (github.com/enisdenjo/graphql-ws).
//!
//! [`protocol`] is the state machine and does no IO; [`connection`] drives one socket by it; [`outbox`] is what waits to
//! be sent; [`operations`] runs what the client asked for. Only this subprotocol is spoken: the older `graphql-ws` has
//! other message names and is refused.

mod close;
mod connection;
mod message;
mod operations;
mod outbox;
mod protocol;
mod timers;

#[cfg(test)]
mod protocol_tests;
#[cfg(test)]
mod socket_tests;

use std::sync::Arc;

use axum::{
    extract::{
        State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sluice_schema::error::ClientError;

pub(super) use message::acknowledgement;

use super::{
    origin,
    router::{Context, method_not_allowed},
    status::{error_response, respond},
};

const SUBPROTOCOL: &str = "graphql-transport-ws";

/// The largest message that is read at all, as a multiple of the largest that is allowed: between the two the client is
/// told by a close code, past it the reading stops.
const READ_LIMIT: usize = 2;

/// GET on an address that takes POST too.
pub(super) async fn upgrade(
    State(context): State<Arc<Context>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if wants_upgrade(&headers) { accept(context, &headers, upgrade) } else { method_not_allowed("POST") }
}

/// GET on an address for WebSockets alone.
pub(super) async fn upgrade_only(
    State(context): State<Arc<Context>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if wants_upgrade(&headers) {
        return accept(context, &headers, upgrade);
    }
    let text = format!("This address is for WebSockets with the subprotocol `{SUBPROTOCOL}`.");
    let mut response = respond(StatusCode::UPGRADE_REQUIRED, "text/plain; charset=utf-8", text);
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response
}

fn wants_upgrade(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn accept(
    context: Arc<Context>,
    headers: &HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if !origin::is_allowed(headers, &context.config.allowed_origins) {
        return respond(
            StatusCode::FORBIDDEN,
            "text/plain; charset=utf-8",
            "Pages of this origin may not connect here.",
        );
    }
    if context.drain.is_cancelled() {
        return error_response(&ClientError::unavailable());
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let tracked = context.tasks.token();
    let limit = context.config.max_message_bytes.saturating_mul(READ_LIMIT);
    upgrade
        .read_buffer_size(context.config.read_buffer_bytes)
        .write_buffer_size(context.config.write_buffer_bytes)
        .max_message_size(limit)
        .max_frame_size(limit)
        .protocols([SUBPROTOCOL])
        .on_upgrade(|socket| async move {
            let _tracked = tracked;
            connection::run(socket, context).await;
        })
}
