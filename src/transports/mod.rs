//! The wire protocols, a file or folder each. Each translates to the calls of [`Gate`] and nothing else: there is no
//! second path to data.

mod admitted;
mod bearer;
mod config;
mod graphql_http;
mod graphql_ws;
mod long_poll;
mod negotiate;
mod origin;
mod router;
mod server;
mod starts;
pub mod status;
mod unread;
mod viewers;
mod websocket;

#[cfg(test)]
mod caps_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod forgery_tests;
#[cfg(test)]
mod http_tests;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod unread_tests;

use std::sync::Arc;

use async_trait::async_trait;
use sluice_schema::{
    channel::ChannelPattern, error::ClientError, ids::SubscriptionName, position::Cursor, viewer::Viewer,
};
use sluice_subscriptions::{
    audit::EndReason,
    deliver::Subscriber,
    revocations::{Cut, Session},
};

pub use config::{InvalidTransportConfig, TransportConfig};
pub use router::{router, tracked_router};
pub use server::serve;
pub use sluice_resolvers::{Answer, OperationType};
pub use sluice_subscriptions::engine::Polled;

/// A GraphQL request as any transport reads it.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GraphqlRequest {
    pub query: String,
    pub operation_name: Option<String>,
    #[serde(default)]
    pub variables: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    pub extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

impl GraphqlRequest {
    /// From JSON. The error says what to mend, and repeats nothing of the text.
    fn parse(json: &[u8]) -> Result<Self, &'static str> {
        // The derived reader would take an array as the fields in order.
        match json.trim_ascii_start().first() {
            Some(b'{') => {}
            Some(b'[') => return Err("Batches are not supported: send one request, an object."),
            _ => return Err("A GraphQL request is a JSON object with at least `query`."),
        }
        serde_json::from_slice(json).map_err(|_| {
            "A GraphQL request is JSON with `query` (a string) and, if wanted, `operationName` (a string), `variables` and \
             `extensions` (objects)."
        })
    }
}

/// How the viewer is connected; it is in the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Http,
    GraphqlWs,
    LongPoll,
}

/// A running subscription; dropping it ends it.
pub trait Subscription: Send {
    /// How far it is: everything up to here was handed to the subscriber, or is not for it. `None` where that cannot be
    /// told; then no progress is told to the client either.
    fn place(&self) -> Option<Cursor> {
        None
    }

    /// Why it will be dropped, for the audit trail.
    fn ends_because(&self, _why: EndReason) {}
}

/// A request that is GraphQL and within the limits. Nothing of it was executed.
#[async_trait]
pub trait Parsed: Send {
    fn operation_type(&self) -> OperationType;

    /// Runs a query or mutation.
    async fn execute(self: Box<Self>, viewer: Arc<Viewer>, via: Transport) -> Answer;

    /// Starts a subscription; behind `behind`, where the request itself says nothing of where it begins. Errors are GraphQL
    /// errors, ready to send (an array for graphql-ws's `error` message).
    async fn subscribe(
        self: Box<Self>,
        viewer: Arc<Viewer>,
        via: Transport,
        subscriber: Arc<dyn Subscriber>,
        behind: Option<Cursor>,
    ) -> Result<Box<dyn Subscription>, Vec<serde_json::Value>>;
}

/// The one way in: authenticate → authorize → engine → audit → deliver.
#[async_trait]
pub trait Gate: Send + Sync + 'static {
    /// Reads a bearer token (without the word "Bearer"). It mostly answers at once.
    async fn authenticate(&self, token: &str) -> Result<Viewer, ClientError>;

    /// Lets something begin by a viewer's token, for as long as the session is kept: `cut` ends it at once when the token is
    /// revoked.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`: it was revoked. `UNAVAILABLE`: whether it was can't be told.
    fn admit(&self, viewer: &Arc<Viewer>, cut: Arc<dyn Cut>) -> Result<Session, ClientError>;

    /// Parses a request, once, and holds it against the limits; an error is one that GraphQL answers with
    /// (`executed: false`).
    fn parse(&self, request: GraphqlRequest) -> Result<Box<dyn Parsed>, ClientError>;

    /// Waits until there is at least one event behind `after` that the viewer may see, or the wait is over.
    async fn poll(
        &self,
        viewer: &Viewer,
        pattern: ChannelPattern,
        after: Option<Cursor>,
        wait: std::time::Duration,
    ) -> Result<Polled, ClientError>;

    /// What the client that goes by this name acknowledged last.
    async fn last_acknowledged(&self, viewer: &Viewer, name: &SubscriptionName) -> Result<Option<Cursor>, ClientError>;

    /// The client that goes by this name is done with everything up to here; answers when that is durable.
    async fn acknowledge(&self, viewer: &Viewer, name: &SubscriptionName, cursor: &Cursor) -> Result<(), ClientError>;

    /// Frees a name.
    async fn forget(&self, viewer: &Viewer, name: &SubscriptionName) -> Result<(), ClientError>;

    /// How far the engine is, for pings: a subscriber that was sent everything so far may resume here.
    fn progress(&self) -> Cursor;
}
