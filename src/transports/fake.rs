//! A gate for tests: it answers by the words of the query, and tells the test what it was asked.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sluice_schema::{
    channel::ChannelPattern,
    error::{ClientError, Code},
    ids::SubscriptionName,
    position::{Cursor, Epoch, ReadVector},
    viewer::{PurposeOfUse, Viewer},
};
use sluice_subscriptions::{
    deliver::Subscriber,
    revocations::{Cut, Refused, Revocations, Session, Target, memory::node_alone},
    subscribers::moved_on,
};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Answer, Gate, GraphqlRequest, OperationType, Parsed, Polled, Subscription, Transport, TransportConfig, serve,
    tracked_router,
};

/// What the gate was asked.
pub(super) enum Asked {
    Authenticating,
    Subscribed(Arc<dyn Subscriber>),
    Unsubscribed,
    Executing,
    Executed,
    PollDropped,
    /// What was answered to a query or poll with `large` in it is gone from memory.
    Dropped,
    /// What a client that goes by the name `slow` sent is being written; it waits to be released.
    Writing,
}

pub(super) struct FakeGate {
    asked: mpsc::UnboundedSender<Asked>,
    /// Lets a query or mutation with `slow` in it finish.
    pub(super) release: Arc<Notify>,
    pub(super) progress: Arc<Mutex<ReadVector>>,
    /// Where the last subscription was said to begin by the name that its client goes by.
    pub(super) behind: Arc<Mutex<Option<Cursor>>>,
    /// By name; `away` can't be had.
    pub(super) acknowledged: Mutex<BTreeMap<String, Cursor>>,
    revocations: Revocations,
}

impl FakeGate {
    async fn write(&self, name: &SubscriptionName) {
        if name.as_str() == "slow" {
            let _ = self.asked.send(Asked::Writing);
            self.release.notified().await;
        }
    }

    /// Revokes all that `nora` has.
    pub(super) async fn revoke(&self) {
        let (tenant, user) = ("north".parse().unwrap(), "nora".parse().unwrap());
        self.revocations.revoke(&tenant, Target::User(user)).await.unwrap();
    }
}

fn refused(why: Refused) -> ClientError {
    match why {
        Refused::Revoked | Refused::Expired => ClientError::new(Code::Unauthenticated, "revoked"),
        Refused::Unknown => ClientError::unavailable(),
    }
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) gate: Arc<FakeGate>,
    pub(super) drain: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) asked: mpsc::UnboundedReceiver<Asked>,
    /// No more connections are taken.
    pub(super) stop: CancellationToken,
    /// Over when it is stopped and no connection is left; WebSockets are on their own.
    pub(super) served: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(config: TransportConfig) -> Self {
        let (sender, asked) = mpsc::unbounded_channel();
        let gate = FakeGate {
            asked: sender,
            release: Arc::default(),
            progress: Arc::new(Mutex::new(ReadVector(vec![7]))),
            behind: Arc::default(),
            acknowledged: Mutex::default(),
            revocations: node_alone().await,
        };
        let (gate, drain) = (Arc::new(gate), CancellationToken::new());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = TaskTracker::new();
        let routes = tracked_router(gate.clone(), config.clone(), drain.clone(), tasks.clone());
        let stop = CancellationToken::new();
        let served = tokio::spawn({
            let stop = stop.clone();
            async move { serve(listener, routes, &config, stop).await }
        });
        Self { address, gate, drain, tasks, asked, stop, served }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The subscriber of the next subscription.
    pub(super) async fn subscriber(&mut self) -> Arc<dyn Subscriber> {
        match self.asked.recv().await {
            Some(Asked::Subscribed(subscriber)) => subscriber,
            _ => panic!("a subscription was expected"),
        }
    }
}

struct Told(mpsc::UnboundedSender<Asked>, Option<Asked>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.1.take().map(|asked| self.0.send(asked));
    }
}

/// More than sockets keep for a client that does not read.
const LARGE: usize = 16 * 1024 * 1024;

struct Large {
    text: Vec<u8>,
    _told: Told,
}

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// A JSON text that tells when it is dropped.
fn large(asked: &mpsc::UnboundedSender<Asked>) -> Bytes {
    let text = format!("\"{}\"", "x".repeat(LARGE)).into_bytes();
    Bytes::from_owner(Large { text, _told: Told(asked.clone(), Some(Asked::Dropped)) })
}

/// At the gate's progress, or behind it.
struct Live {
    _told: Told,
    progress: Arc<Mutex<ReadVector>>,
    behind: bool,
}

impl Subscription for Live {
    fn place(&self) -> Option<Cursor> {
        Some(if self.behind { cursor(&ReadVector(vec![1])) } else { cursor(&self.progress.lock().unwrap()) })
    }
}

pub(super) fn cursor(vector: &ReadVector) -> Cursor {
    Cursor { epoch: Epoch(1), vector: vector.clone() }
}

struct FakeOperation {
    operation_type: OperationType,
    request: GraphqlRequest,
    asked: mpsc::UnboundedSender<Asked>,
    release: Arc<Notify>,
    progress: Arc<Mutex<ReadVector>>,
    behind: Arc<Mutex<Option<Cursor>>>,
}

#[async_trait]
impl Parsed for FakeOperation {
    fn operation_type(&self) -> OperationType {
        self.operation_type
    }

    async fn execute(self: Box<Self>, viewer: Arc<Viewer>, _: Transport) -> Answer {
        let query = &self.request.query;
        let _ = self.asked.send(Asked::Executing);
        if query.contains("panic") {
            panic!("as asked for");
        }
        if query.contains("slow") {
            self.release.notified().await;
        }
        let _ = self.asked.send(Asked::Executed);
        if query.contains("invalid") {
            return Answer { body: r#"{"errors":[{"message":"no such field"}]}"#.into(), executed: false };
        }
        if query.contains("large") {
            return Answer { body: large(&self.asked), executed: true };
        }
        if query.contains("who") {
            let who = format!("{}/{}/{}", viewer.tenant, viewer.user, viewer.purpose.code());
            return Answer { body: json!({ "data": { "who": who } }).to_string().into(), executed: true };
        }
        let variables = self.request.variables.unwrap_or_default();
        Answer { body: json!({ "data": { "echo": variables } }).to_string().into(), executed: true }
    }

    async fn subscribe(
        self: Box<Self>,
        _: Arc<Viewer>,
        _: Transport,
        subscriber: Arc<dyn Subscriber>,
        behind: Option<Cursor>,
    ) -> Result<Box<dyn Subscription>, Vec<Value>> {
        *self.behind.lock().unwrap() = behind;
        let query = &self.request.query;
        if query.contains("denied") {
            return Err(vec![ClientError::not_found().to_graphql()]);
        }
        let _ = self.asked.send(Asked::Subscribed(subscriber));
        if query.contains("slow") {
            let _told = Told(self.asked.clone(), Some(Asked::Unsubscribed));
            self.release.notified().await;
        }
        let told = Told(self.asked.clone(), Some(Asked::Unsubscribed));
        Ok(Box::new(Live { _told: told, progress: self.progress.clone(), behind: query.contains("behind") }))
    }
}

#[async_trait]
impl Gate for FakeGate {
    /// Of nora of north, for treatment, unless the token's name says otherwise.
    async fn authenticate(&self, token: &str) -> Result<Viewer, ClientError> {
        let lasts = match token {
            "nora" | "otto" | "south" | "payment" | "agent" => SignedDuration::from_hours(1),
            "brief" => SignedDuration::from_millis(200),
            "short" => SignedDuration::from_secs(2),
            "slow" => {
                let _ = self.asked.send(Asked::Authenticating);
                self.release.notified().await;
                SignedDuration::from_hours(1)
            }
            "away" => return Err(ClientError::unavailable()),
            _ => return Err(ClientError::new(Code::Unauthenticated, "no")),
        };
        let tenant = if token == "south" { "south" } else { "north" }.parse().unwrap();
        let user = if token == "otto" { "otto" } else { "nora" }.parse().unwrap();
        let purpose = if token == "payment" { PurposeOfUse::Payment } else { PurposeOfUse::Treatment };
        let actor = (token == "agent").then(|| "agent".parse().unwrap());
        let expires = (Timestamp::now() + lasts).into();
        Ok(Viewer { tenant, user, actor, purpose, expires, token: Default::default() })
    }

    fn admit(&self, viewer: &Arc<Viewer>, cut: Arc<dyn Cut>) -> Result<Session, ClientError> {
        self.revocations.admit(viewer, cut).map_err(refused)
    }

    fn parse(&self, request: GraphqlRequest) -> Result<Box<dyn Parsed>, ClientError> {
        let operation_type = match request.query.split(' ').next() {
            Some("query") => OperationType::Query,
            Some("mutation") => OperationType::Mutation,
            Some("subscription") => OperationType::Subscription,
            _ => return Err(ClientError::new(Code::ParseFailed, "not GraphQL")),
        };
        let (asked, release, progress) = (self.asked.clone(), self.release.clone(), self.progress.clone());
        let behind = self.behind.clone();
        Ok(Box::new(FakeOperation { operation_type, request, asked, release, progress, behind }))
    }

    async fn poll(
        &self,
        _: &Viewer,
        pattern: ChannelPattern,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Polled, ClientError> {
        if after.is_some_and(|after| after.epoch != Epoch(1)) {
            return Err(ClientError::new(Code::CursorExpired, "gone").with("earliest", "x"));
        }
        let events = match pattern.as_str() {
            "/away" => return Err(ClientError::unavailable()),
            "/unknown" => return Err(ClientError::not_found()),
            "/hang" => {
                let _told = Told(self.asked.clone(), Some(Asked::PollDropped));
                let _ = self.asked.send(Asked::Executing);
                std::future::pending().await
            }
            "/wait" => vec![Bytes::from(json!({ "wait": wait.as_secs() }).to_string())],
            "/quiet" => Vec::new(),
            "/large" => vec![large(&self.asked)],
            _ => vec![Bytes::from_static(br#"{"n":1}"#), Bytes::from_static(br#"{"n":2}"#)],
        };
        Ok(Polled { events, cursor: self.progress() })
    }

    async fn last_acknowledged(&self, _: &Viewer, name: &SubscriptionName) -> Result<Option<Cursor>, ClientError> {
        if name.as_str() == "away" {
            return Err(ClientError::unavailable());
        }
        Ok(self.acknowledged.lock().unwrap().get(name.as_str()).cloned())
    }

    async fn acknowledge(&self, _: &Viewer, name: &SubscriptionName, cursor: &Cursor) -> Result<(), ClientError> {
        if cursor.epoch != Epoch(1) {
            return Err(ClientError::new(Code::CursorExpired, "of another log"));
        }
        self.write(name).await;
        let mut acknowledged = self.acknowledged.lock().unwrap();
        if let Some(moved) = moved_on(acknowledged.get(name.as_str()), cursor) {
            acknowledged.insert(name.to_string(), moved);
        }
        Ok(())
    }

    async fn forget(&self, _: &Viewer, name: &SubscriptionName) -> Result<(), ClientError> {
        self.write(name).await;
        self.acknowledged.lock().unwrap().remove(name.as_str());
        Ok(())
    }

    fn progress(&self) -> Cursor {
        cursor(&self.progress.lock().unwrap())
    }
}
