use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    response::Response,
    routing::{MethodRouter, get, post},
};
use sluice_schema::error::{ClientError, Code};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Gate,
    config::TransportConfig,
    graphql_http, graphql_ws, long_poll,
    starts::Starts,
    status::{error_body, respond},
    viewers::Viewers,
};

/// What all transports of one server share.
pub(super) struct Context {
    pub(super) gate: Arc<dyn Gate>,
    pub(super) config: TransportConfig,
    /// Cancelled when this server is about to stop.
    pub(super) drain: CancellationToken,
    /// Everything that may outlive its HTTP exchange: sockets, and what they run.
    pub(super) tasks: TaskTracker,
    /// The `connection_ack` of graphql-ws, the same for all.
    pub(super) ack: Arc<str>,
    pub(super) starts: Arc<Starts>,
    pub(super) viewers: Arc<Viewers>,
    /// What may wait to be sent, on all sockets together.
    pub(super) budget: Arc<graphql_ws::Budget>,
}

/// All wire protocols: `/graphql` (GraphQL over HTTP by POST, graphql-transport-ws by WebSocket upgrade), `/graphql/ws`
/// (the upgrade alone), `/events` (long poll).
///
/// Once `drain` is cancelled, WebSockets are closed with 1001 and advice, waiting polls are answered with 503, and no new
/// ones are begun; requests that are being executed are finished.
pub fn router(gate: Arc<dyn Gate>, config: TransportConfig, drain: CancellationToken) -> Router {
    tracked_router(gate, config, drain, TaskTracker::new())
}

/// As [`router`], for a server that waits for its WebSockets: an HTTP server's own graceful shutdown does not. After
/// `drain` is cancelled, close `tasks` and wait for it; each socket takes `close_timeout` twice at most, and a mutation
/// as long as it runs.
pub fn tracked_router(
    gate: Arc<dyn Gate>,
    config: TransportConfig,
    drain: CancellationToken,
    tasks: TaskTracker,
) -> Router {
    let ack = graphql_ws::acknowledgement(&config).into();
    let starts = Arc::new(Starts::new());
    let budget = Arc::new(graphql_ws::Budget::new(config.max_queued_bytes_of_all));
    let viewers = Arc::new(Viewers::new(&config));
    Router::new()
        .route("/graphql", only("POST", post(graphql_http::post).get(graphql_ws::upgrade)))
        .route("/graphql/ws", only("GET", get(graphql_ws::upgrade_only)))
        .route("/events", only("GET", get(long_poll::get)))
        .with_state(Arc::new(Context { gate, config, drain, tasks, ack, starts, viewers, budget }))
}

fn only(method: &'static str, routes: MethodRouter<Arc<Context>>) -> MethodRouter<Arc<Context>> {
    routes.fallback(move || async move { method_not_allowed(method) })
}

pub(super) fn method_not_allowed(allowed: &'static str) -> Response {
    let text = format!("This address takes {allowed} only.");
    let body = error_body(&ClientError::new(Code::BadRequest, text));
    let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, "application/json; charset=utf-8", body);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}
