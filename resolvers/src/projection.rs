//! A GraphQL selection as a projection: one long-lived execution that is fed events, one at a time.
//!
//! async-graphql validates a document each time that it is executed, so a subscription's is executed once, and its stream
//! gives one response for each event that goes in. Its list of errors is shared by the whole stream, so an event goes in
//! only after the one before came out.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use async_graphql::{Context, Response, Result};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use prost::Name;
use serde::Serialize;
use serde_json::Value;
use sluice_schema::{
    access::{Demand, MESSAGES, Mask, MessageTable, Payload},
    channel::ChannelPattern,
    error::{ClientError, Code},
    graphql::{CursorScalar, HeldBack},
    ids::{CheckId, MemberId},
    position::Cursor,
    proto::eligibility::EligibilityCheckChanged,
};
use sluice_subscriptions::render::{Projection, RenderError, Renderer, Seen};
use tokio::sync::{mpsc, oneshot};

use crate::{operation::Operation, roots::GraphqlSchema, selection::names};

/// What a subscription watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Check(CheckId),
    Member(MemberId),
    Channel(ChannelPattern),
}

/// A subscription's arguments, coerced.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) source: Source,
    pub(crate) after: Option<Cursor>,
    demands: Demands,
}

/// By the payload's message, what it depends on what is shown of such an event.
#[derive(Debug, Default)]
struct Demands(Vec<(&'static str, Demand)>);

impl Demands {
    fn of(ctx: &Context<'_>, source: &Source) -> Self {
        let mut selected = names(ctx);
        if !matches!(source, Source::Channel(_)) {
            // These show the state after a change without having it selected by its name.
            selected.insert("after");
        }
        Self(MESSAGES.iter().map(|table| (table.name, table.demand(&selected))).collect())
    }

    fn of_message(&self, payload: &'static MessageTable) -> &Demand {
        static NOTHING: LazyLock<Demand> = LazyLock::new(Demand::default);
        // Every annotated message is there.
        self.0.iter().find(|(name, _)| *name == payload.name).map_or(&NOTHING, |(_, demand)| demand)
    }
}

/// Where a root field says what it watches, and gets its events from.
struct Feed(Mutex<Option<(oneshot::Sender<Plan>, mpsc::UnboundedReceiver<Seen>)>>);

/// For the root fields of subscriptions: tells what is watched, and gives the stream of events.
pub(crate) fn open(
    ctx: &Context<'_>,
    source: Source,
    after: Option<CursorScalar>,
) -> Result<impl Stream<Item = Seen> + use<>> {
    let feed = ctx.data::<Feed>()?.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    let (plan, events) = feed.ok_or("a subscription has one root field")?;
    // Nobody waits for the plan when a renderer is made again.
    let demands = Demands::of(ctx, &source);
    let _ = plan.send(Plan { source, after: after.map(|after| after.0), demands });
    Ok(stream::unfold(events, |mut events| async move { Some((events.recv().await?, events)) }))
}

/// A started execution.
struct Execution {
    responses: BoxStream<'static, Response>,
    events: mpsc::UnboundedSender<Seen>,
    plan: oneshot::Receiver<Plan>,
    held_back: Arc<HeldBack>,
}

impl Execution {
    fn start(schema: &GraphqlSchema, operation: &Operation) -> Self {
        let (events, feed) = mpsc::unbounded_channel();
        let (planned, plan) = oneshot::channel();
        let held_back = Arc::new(HeldBack::default());
        let request = operation.request().data(Feed(Mutex::new(Some((planned, feed))))).data(held_back.clone());
        Self { responses: schema.execute_stream(request), events, plan, held_back }
    }
}

/// A validated subscription.
pub(crate) struct GraphqlProjection {
    schema: GraphqlSchema,
    operation: Operation,
    key: Arc<str>,
    all_events: bool,
    demands: Demands,
}

impl GraphqlProjection {
    /// Validates a subscription and reads its arguments.
    ///
    /// # Errors
    /// GraphQL's own errors, as a response that holds nothing else.
    pub(crate) async fn validate(schema: GraphqlSchema, operation: Operation) -> Result<(Self, Plan), Box<Response>> {
        let mut execution = Execution::start(&schema, &operation);
        // The first poll validates and calls the root field, which tells the plan; the stream then waits for events.
        let mut plan = tokio::select! {
            biased;
            Some(response) = execution.responses.next() => return Err(Box::new(response)),
            Ok(plan) = &mut execution.plan => plan,
            else => return Err(Box::default()),
        };
        let key = operation.projection_key().map_err(|error| Box::new(refusal(&error)))?;
        let all_events = matches!(plan.source, Source::Channel(_));
        let demands = std::mem::take(&mut plan.demands);
        Ok((Self { schema, operation, key: key.into(), all_events, demands }, plan))
    }

    /// The part of a mask that anything it may ever show depends on, but for what is decided anew for each event.
    pub(crate) fn whole_demand(&self) -> Mask {
        let shown = self.demands.0.iter().filter(|(name, _)| self.shows(name));
        shown.fold(Mask::NOTHING, |mask, (_, demand)| mask.with(demand.mask())).lasting()
    }

    /// With another schema of the same types.
    pub(crate) fn rendered_by(self, schema: GraphqlSchema) -> Self {
        Self { schema, ..self }
    }
}

fn refusal(error: &ClientError) -> Response {
    Response::from_errors(vec![crate::errors::fail(error.clone()).into_server_error(async_graphql::Pos::default())])
}

impl Projection for GraphqlProjection {
    fn key(&self) -> &Arc<str> {
        &self.key
    }

    fn shows(&self, event_type: &str) -> bool {
        self.all_events || event_type == EligibilityCheckChanged::full_name()
    }

    /// A check's watchers are shown the state after a change. The stream of a root field passes over an event that has none,
    /// and a renderer that was given it would wait for its response for ever.
    fn finds(&self, payload: &Payload) -> bool {
        self.all_events || matches!(payload, Payload::EligibilityCheckChanged(changed) if changed.after.is_some())
    }

    fn demand(&self, payload: &'static MessageTable) -> &Demand {
        self.demands.of_message(payload)
    }

    fn renderer(&self) -> Box<dyn Renderer> {
        Box::new(GraphqlRenderer(Execution::start(&self.schema, &self.operation)))
    }
}

struct GraphqlRenderer(Execution);

#[async_trait]
impl Renderer for GraphqlRenderer {
    async fn render(&mut self, seen: &Seen, cursor: &str) -> Result<Bytes, RenderError> {
        let execution = &mut self.0;
        let ended = || RenderError("the execution has ended".into());
        execution.events.send(seen.clone()).map_err(|_| ended())?;
        let response = execution.responses.next().await.ok_or_else(ended)?;
        if let Some(error) = response.errors.first() {
            // A rendering must not depend on those before it, and an error's text may hold anything.
            return Err(RenderError(format!("{} errors, the first at {:?}", response.errors.len(), error.path)));
        }
        payload(&response.data, cursor, execution.held_back.take())
    }
}

/// A GraphQL response, written without a copy of what is in it.
#[derive(Serialize)]
struct Rendered<'a> {
    data: &'a async_graphql::Value,
    extensions: Extensions<'a>,
}

#[derive(Serialize)]
struct Extensions<'a> {
    cursor: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    redacted: Vec<Vec<Value>>,
}

fn payload(data: &async_graphql::Value, cursor: &str, redacted: Vec<Vec<Value>>) -> Result<Bytes, RenderError> {
    let payload = Rendered { data, extensions: Extensions { cursor, redacted } };
    serde_json::to_vec(&payload).map(Bytes::from).map_err(|error| RenderError(error.to_string()))
}

/// An error of GraphQL's own, when a subscription could not be validated.
pub(crate) fn unexplained() -> ClientError {
    ClientError::new(Code::Internal, "The subscription could not be started: a fault of the server.")
}

#[cfg(test)]
#[path = "projection_tests.rs"]
mod tests;
