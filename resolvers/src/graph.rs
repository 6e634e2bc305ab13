//! The graph as the transports use it: requests in, audited answers and subscriptions out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_graphql::{
    Response, ServerError, ValidationResult,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute, NextValidation},
};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use sluice_schema::{
    access::Mask,
    channel::{Channel, ChannelPattern},
    error::{ClientError, Code},
    graphql::HeldBack,
    ids::MemberId,
    position::Cursor,
    viewer::Viewer,
};
use sluice_subscriptions::{
    access::Question,
    deliver::Subscriber,
    engine::{Handle, Root, Start, Subscribe},
};

pub use crate::scope::Services;
use crate::{
    annotated, arguments,
    errors::{coded, undecided, unreadable, validation_code},
    operation::{Limits, Operation, OperationType, RawRequest},
    projection::{GraphqlProjection, Plan, Source, unexplained},
    roots::{GraphqlSchema, builder},
    scope::{CHECK, Scope, sees_check, sight_of_check},
};

/// The schema with its services.
#[derive(Clone)]
pub struct Graph {
    schema: GraphqlSchema,
    /// The same, for documents that were validated: an extension costs every field that is resolved a boxed call.
    rendering: GraphqlSchema,
    services: Services,
    limits: Limits,
}

/// A response to a query or mutation.
#[derive(Debug, Clone)]
pub struct Answer {
    /// A GraphQL response as JSON.
    pub body: Bytes,
    /// Whether it came to execution; if not, the response has no `data`.
    pub executed: bool,
}

/// How long a first state waits for events that it holds to have passed by, so that its cursor is behind them.
const SETTLE: Duration = Duration::from_millis(250);

impl Graph {
    /// # Errors
    /// A GraphQL field has no annotated source, or nobody declared what an argument does: nobody could say who may see it.
    pub fn new(services: Services, limits: Limits) -> Result<Self, String> {
        let plain = || {
            let schema = builder().data(services.clone());
            schema.limit_depth(limits.max_depth).limit_complexity(limits.max_complexity)
        };
        let (schema, rendering) = (plain().extension(Codes).finish(), plain().finish());
        let sdl = schema.sdl();
        annotated::check(&sdl)?;
        arguments::check(&sdl)?;
        Ok(Self { schema, rendering, services, limits })
    }

    /// Parses a request, and holds it against the limits that need no schema.
    ///
    /// # Errors
    /// What GraphQL answers with, without having executed anything.
    pub fn parse(&self, raw: RawRequest) -> Result<Operation, ClientError> {
        Operation::parse(raw, &self.limits)
    }

    /// Runs a query or mutation, and has what it shows audited before it answers.
    pub async fn execute(&self, viewer: Arc<Viewer>, operation: Operation, transport: &'static str) -> Answer {
        if operation.kind == OperationType::Subscription {
            return refused(&not_here());
        }
        let scope = Arc::new(Scope::new(&self.services, viewer, transport));
        let (held_back, executed) = (Arc::new(HeldBack::default()), Executed::default());
        let request = operation.request().data(scope.clone()).data(held_back.clone()).data(executed.clone());
        let response = self.schema.execute(request).await;
        if let Err(error) = self.services.engine.audit(scope.records()).await {
            return unaudited(&error, operation.kind);
        }
        let executed = executed.0.load(Ordering::SeqCst);
        let cursor = scope.heads().map(|heads| self.services.engine.cursor(heads).to_string());
        Answer { body: body(response, executed, cursor, &held_back), executed }
    }

    /// Starts a subscription, behind `behind` where the request itself says nothing of where it begins; dropping its handle
    /// ends it.
    ///
    /// # Errors
    /// GraphQL errors, ready to send.
    pub async fn subscribe(
        &self,
        viewer: Arc<Viewer>,
        operation: Operation,
        transport: &'static str,
        subscriber: Arc<dyn Subscriber>,
        behind: Option<Cursor>,
    ) -> Result<Handle, Vec<Value>> {
        let one = |error: ClientError| vec![error.to_graphql()];
        let (projection, mut plan) =
            GraphqlProjection::validate(self.schema.clone(), operation).await.map_err(|response| invalid(*response))?;
        plan.after = plan.after.or(behind);
        let scope = Scope::new(&self.services, viewer.clone(), transport);
        let watched = self.watch(&scope, plan, projection.whole_demand()).await;
        let (pattern, start, root) = match watched {
            Ok(watched) => watched,
            Err(error) => {
                // A denial that can't be audited is one all the same.
                let audited = self.services.engine.audit(scope.records()).await;
                return Err(one(audited.err().unwrap_or(error)));
            }
        };
        let projection = Arc::new(projection.rendered_by(self.rendering.clone()));
        let subscribe = Subscribe { viewer, pattern, projection, start, subscriber, transport, root };
        self.services.engine.subscribe(subscribe).await.map_err(one)
    }

    /// What is watched as a channel pattern, where it begins, and what it stands and falls with. `ahead`: what its events will
    /// be decided for, decided now, so that the first of them need not wait.
    async fn watch(
        &self,
        scope: &Scope,
        plan: Plan,
        ahead: Mask,
    ) -> Result<(ChannelPattern, Start, Option<Root>), ClientError> {
        // Taken before the state is read, so that nothing in between is missed; what the state holds is not told again.
        let from = match (&plan.source, &plan.after) {
            (Source::Check(_) | Source::Member(_), None) => self.services.engine.settled(SETTLE).await,
            _ => self.services.engine.place(),
        };
        let since = self.services.access.told();
        let (pattern, state, member) = match plan.source {
            Source::Channel(pattern) => {
                self.decide_ahead(scope, &pattern, ahead);
                return Ok((pattern, plan.after.map_or(Start::Live, Start::After), None));
            }
            Source::Check(id) => {
                let tenant = &scope.viewer.tenant;
                let current =
                    self.services.reader.current(tenant, std::slice::from_ref(&id)).await.map_err(unreadable)?;
                let current = current.into_iter().next().flatten();
                let member = current.as_ref().and_then(|current| current.check.member_id.parse::<MemberId>().ok());
                self.authorize(scope, member.as_ref(), ahead, &format!("EligibilityCheck/{id}")).await?;
                let member = member.ok_or_else(ClientError::not_found)?;
                (Channel::eligibility_check(&member, &id).into(), current, member)
            }
            Source::Member(member) => {
                self.authorize(scope, Some(&member), ahead, &format!("Member/{member}")).await?;
                let latest = sluice_domain::store::Page { after: None, limit: 1 };
                let current =
                    self.services.reader.list(&scope.viewer.tenant, &member, &latest).await.map_err(unreadable)?;
                (ChannelPattern::member_eligibility(&member), current.into_iter().next(), member)
            }
        };
        let state = state.map(|current| current.event);
        let root = Root { member, label: CHECK.label, since };
        Ok((pattern, plan.after.map_or(Start::Snapshot { from, state }, Start::After), Some(root)))
    }

    /// Nobody waits for it: a channel may be subscribed to whoever is asked about, and each event is decided for by itself.
    fn decide_ahead(&self, scope: &Scope, pattern: &ChannelPattern, ahead: Mask) {
        let Some(member) = pattern.member() else { return };
        let (access, viewer) = (self.services.access.clone(), scope.viewer.clone());
        tokio::spawn(async move {
            let question = Question { viewer: &viewer, member: Some(&member), demand: ahead };
            // As somebody who asks, not as an event: they may be many.
            if let Err(error) = access.decide_for(&[question]).await {
                tracing::debug!(%error, "nothing was decided ahead");
            }
        });
    }

    async fn authorize(
        &self,
        scope: &Scope,
        member: Option<&MemberId>,
        ahead: Mask,
        what: &str,
    ) -> Result<(), ClientError> {
        let question = Question { viewer: &scope.viewer, member, demand: sight_of_check().with(ahead) };
        let decided = self.services.access.decide_for(&[question]).await.map_err(undecided)?;
        if decided.iter().all(|decided| sees_check(decided.mask)) { Ok(()) } else { Err(scope.deny(member, what)) }
    }
}

fn not_here() -> ClientError {
    ClientError::new(
        Code::BadRequest,
        "Subscriptions are not answered here: connect by WebSocket, with graphql-transport-ws.",
    )
}

fn refused(error: &ClientError) -> Answer {
    let body = json!({ "errors": [error.to_graphql()] });
    Answer { body: body.to_string().into(), executed: false }
}

/// What was read or done, but may not be shown: the audit trail did not take it.
fn unaudited(error: &ClientError, kind: OperationType) -> Answer {
    let mut error = error.clone();
    if kind == OperationType::Mutation {
        error.message =
            "What came of it can't be shown now. Repeat it with the same idempotency key: it is not done twice.".into();
    }
    let body = json!({ "data": null, "errors": [error.to_graphql()] });
    Answer { body: body.to_string().into(), executed: true }
}

fn body(response: Response, executed: bool, cursor: Option<String>, held_back: &HeldBack) -> Bytes {
    let errors: Vec<ServerError> = response.errors.into_iter().map(|error| coded(error, Code::BadRequest)).collect();
    let mut extensions = Map::new();
    extensions.extend(cursor.map(|cursor| ("cursor".to_owned(), cursor.into())));
    let redacted = held_back.take();
    if !redacted.is_empty() {
        extensions.insert("redacted".into(), json!(redacted));
    }
    let mut body = Map::new();
    if executed {
        body.insert("data".into(), json!(response.data));
    }
    if !errors.is_empty() {
        body.insert("errors".into(), json!(errors));
    }
    if !extensions.is_empty() {
        body.insert("extensions".into(), extensions.into());
    }
    Value::from(body).to_string().into()
}

fn invalid(response: Response) -> Vec<Value> {
    if response.errors.is_empty() {
        tracing::error!("a subscription neither began nor failed");
        return vec![unexplained().to_graphql()];
    }
    response.errors.into_iter().map(|error| json!(coded(error, Code::BadRequest))).collect()
}

/// Set when a request comes to execution.
#[derive(Debug, Clone, Default)]
struct Executed(Arc<AtomicBool>);

/// Gives async-graphql's own refusals their codes, and notices when it executes.
struct Codes;

impl ExtensionFactory for Codes {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for Codes {
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let code = |error: ServerError| {
            let code = validation_code(&error);
            coded(error, code)
        };
        next.run(ctx).await.map_err(|errors| errors.into_iter().map(code).collect())
    }

    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        if let Some(executed) = ctx
            .query_data
            .and_then(|data| data.get(&std::any::TypeId::of::<Executed>()))
            .and_then(|any| any.downcast_ref::<Executed>())
        {
            executed.0.store(true, Ordering::SeqCst);
        }
        next.run(ctx, operation_name).await
    }
}
