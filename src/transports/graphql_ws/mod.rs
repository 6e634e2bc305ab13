//! graphql-transport-ws, to the letter of graphql-ws's PROTOCOL.md (github.com/enisdenjo/graphql-ws).
//!
//! [`protocol`] is the state machine and does no IO; [`connection`] drives one socket by it; [`outbox`] is what waits to
//! be sent, and the way to the socket ([`queue`]); [`operations`] runs what the client asked for. Only this subprotocol is spoken: the
//! older `graphql-ws` has other message names and is refused.

mod budget;
mod checking;
mod close;
mod connection;
mod durable;
mod message;
mod operations;
mod outbox;
mod protocol;
mod queue;
mod timers;

#[cfg(test)]
mod durable_tests;
#[cfg(test)]
mod protocol_tests;
#[cfg(test)]
mod renewal_tests;
#[cfg(test)]
mod revoked_tests;
#[cfg(test)]
pub(super) mod socket_tests;

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use sluice_schema::error::ClientError;

pub(super) use self::{budget::Budget, message::acknowledgement};
use super::{
    origin,
    router::{Context, method_not_allowed},
    status::{error_response, respond},
    websocket::{Upgrade, wants_upgrade},
};

const SUBPROTOCOL: &str = "graphql-transport-ws";

const PLAIN: &str = "text/plain; charset=utf-8";

/// GET on an address that takes POST too.
pub(super) async fn upgrade(State(context): State<Arc<Context>>, request: Request) -> Response {
    if wants_upgrade(request.headers()) { accept(context, request) } else { method_not_allowed("POST") }
}

/// GET on an address for WebSockets alone.
pub(super) async fn upgrade_only(State(context): State<Arc<Context>>, request: Request) -> Response {
    if wants_upgrade(request.headers()) {
        return accept(context, request);
    }
    let text = format!("This address is for WebSockets with the subprotocol `{SUBPROTOCOL}`.");
    let mut response = respond(StatusCode::UPGRADE_REQUIRED, PLAIN, text);
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response
}

fn accept(context: Arc<Context>, request: Request) -> Response {
    if !origin::is_allowed(request.headers(), &context.config.allowed_origins) {
        return respond(StatusCode::FORBIDDEN, PLAIN, "Pages of this origin may not connect here.");
    }
    if context.drain.is_cancelled() {
        return error_response(&ClientError::unavailable());
    }
    // Before anything is held for it.
    let Some(room) = context.viewers.unauthenticated() else { return error_response(&ClientError::unavailable()) };
    let upgrade = match Upgrade::of(request, SUBPROTOCOL) {
        Ok(upgrade) => upgrade,
        Err(why) => return respond(StatusCode::BAD_REQUEST, PLAIN, why),
    };
    let agreed = upgrade.agreed;
    let (response, socket) = upgrade.begin();
    context.tasks.clone().spawn(async move {
        let Some((socket, early)) = socket.await else { return };
        // Of the small future that waits for the upgrade nothing is kept while the connection runs.
        context.tasks.clone().spawn(connection::run(socket, early, agreed, room, context));
    });
    response
}
