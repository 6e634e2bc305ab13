//! The one way in, for every transport: tokens, the graph, the engine.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::Value;
use sluice_resolvers::{Graph, Operation, RawRequest};
use sluice_schema::{
    channel::ChannelPattern, error::ClientError, ids::SubscriptionName, position::Cursor, viewer::Viewer,
};
use sluice_subscriptions::{
    audit::EndReason,
    deliver::Subscriber,
    engine::{Engine, Handle, Start, Subscribe},
    render::JsonProjection,
    revocations::{Cut, Refused, Revocations, Session},
    subscribers::Named,
};

use crate::{
    auth::{Authenticator, Refusal},
    transports::{Answer, Gate, GraphqlRequest, OperationType, Parsed, Polled, Subscription, Transport},
};

/// The gate of a running gateway.
pub(crate) struct Gateway {
    pub(crate) tokens: Arc<Authenticator>,
    pub(crate) graph: Graph,
    pub(crate) engine: Engine,
    pub(crate) named: Named,
    pub(crate) revocations: Revocations,
}

struct ParsedOperation {
    graph: Graph,
    operation: Operation,
}

#[async_trait]
impl Parsed for ParsedOperation {
    fn operation_type(&self) -> OperationType {
        self.operation.operation_type()
    }

    async fn execute(self: Box<Self>, viewer: Arc<Viewer>, via: Transport) -> Answer {
        self.graph.execute(viewer, self.operation, name(via)).await
    }

    async fn subscribe(
        self: Box<Self>,
        viewer: Arc<Viewer>,
        via: Transport,
        subscriber: Arc<dyn Subscriber>,
        behind: Option<Cursor>,
    ) -> Result<Box<dyn Subscription>, Vec<Value>> {
        let handle = self.graph.subscribe(viewer, self.operation, name(via), subscriber, behind).await?;
        Ok(Box::new(Running(handle)))
    }
}

/// A subscription of the engine, as transports hold it.
struct Running(Handle);

impl Subscription for Running {
    fn place(&self) -> Option<Cursor> {
        Some(self.0.place())
    }

    fn ends_because(&self, why: EndReason) {
        self.0.ends_because(why);
    }
}

impl From<GraphqlRequest> for RawRequest {
    fn from(request: GraphqlRequest) -> Self {
        let GraphqlRequest { query, operation_name, variables, extensions: _ } = request;
        Self { query, operation_name, variables: variables.unwrap_or_default() }
    }
}

fn refused(why: Refused) -> ClientError {
    match why {
        Refused::Revoked => Refusal::Revoked.to_client(),
        Refused::Expired => Refusal::Expired.to_client(),
        // Told once by what reads the list.
        Refused::Unknown => ClientError::unavailable(),
    }
}

/// The transport's name in the audit trail.
fn name(via: Transport) -> &'static str {
    match via {
        Transport::Http => "http",
        Transport::GraphqlWs => "graphql-ws",
        Transport::LongPoll => "long-poll",
    }
}

#[async_trait]
impl Gate for Gateway {
    async fn authenticate(&self, token: &str) -> Result<Viewer, ClientError> {
        let viewer = self.tokens.authenticate(token).await?;
        self.revocations.check(&viewer).map_err(refused)?;
        Ok(viewer)
    }

    fn admit(&self, viewer: &Arc<Viewer>, cut: Arc<dyn Cut>) -> Result<Session, ClientError> {
        self.revocations.admit(viewer, cut).map_err(refused)
    }

    fn parse(&self, request: GraphqlRequest) -> Result<Box<dyn Parsed>, ClientError> {
        let operation = self.graph.parse(request.into())?;
        Ok(Box::new(ParsedOperation { graph: self.graph.clone(), operation }))
    }

    async fn poll(
        &self,
        viewer: &Viewer,
        pattern: ChannelPattern,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Polled, ClientError> {
        let viewer = Arc::new(viewer.clone());
        let make = |subscriber| Subscribe {
            viewer: viewer.clone(),
            pattern: pattern.clone(),
            projection: Arc::new(JsonProjection),
            start: after.clone().map_or(Start::Live, Start::After),
            subscriber,
            transport: name(Transport::LongPoll),
            // It is over soon.
            root: None,
        };
        self.engine.poll(wait, make).await
    }

    async fn last_acknowledged(&self, viewer: &Viewer, name: &SubscriptionName) -> Result<Option<Cursor>, ClientError> {
        self.named.last(viewer, name).await
    }

    async fn acknowledge(&self, viewer: &Viewer, name: &SubscriptionName, cursor: &Cursor) -> Result<(), ClientError> {
        self.named.acknowledge(viewer, name, cursor).await
    }

    async fn forget(&self, viewer: &Viewer, name: &SubscriptionName) -> Result<(), ClientError> {
        self.named.forget(viewer, name).await
    }

    fn progress(&self) -> Cursor {
        self.engine.cursor(self.engine.place())
    }
}
