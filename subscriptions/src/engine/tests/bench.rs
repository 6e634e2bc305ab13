//! An engine on twins, and subscribers that remember what they got.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use prost::{Message, Name};
use sluice_schema::{
    channel::Channel,
    error::ClientError,
    event::RecordedEvent,
    ids::TenantId,
    position::{Cursor, Epoch, Partition, Position, ReadVector},
    proto::{
        eligibility::{Coverage, EligibilityCheck, EligibilityCheckChanged},
        header::{Header, RoutingKey, Subject, routing_key::Kind},
    },
    sealed::{DataKey, KEY_BYTES},
    viewer::{PurposeOfUse, Viewer},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    access::Access,
    audit::memory::MemoryAudit,
    deliver::{Gone, Recalled, Subscriber},
    engine::{Engine, Handle, Parts, Start, Subscribe},
    log::{EventLog, memory::MemoryLog},
    opened::{KeysUnavailable, PayloadKeys},
    relationships::{
        Embedded, NoJournal, ObjectRef, Relationship, Relationships, SCHEMA, SubjectRef, Update, twin::Switchable,
    },
    render::JsonProjection,
};

pub(super) const PARTITIONS: Partition = 4;

/// One key for everybody: sealing is not what these tests are about.
struct OneKey(DataKey);

#[async_trait]
impl PayloadKeys for OneKey {
    async fn key(&self, _tenant: &TenantId, _routing_key: &RoutingKey) -> Result<Option<DataKey>, KeysUnavailable> {
        Ok(Some(self.0.clone()))
    }
}

pub(super) struct Bench {
    pub(super) log: Arc<MemoryLog>,
    pub(super) audit: Arc<MemoryAudit>,
    pub(super) relationships: Switchable,
    pub(super) engine: Engine,
    pub(super) parts: Parts,
    pub(super) key: DataKey,
    pub(super) shutdown: CancellationToken,
}

impl Bench {
    /// Tenant `acme`: member m-1 with herself, a nurse, a clerk; and tenant `other` with the same ids.
    pub(super) async fn new() -> Self {
        Self::over(|log| log).await
    }

    /// The same, with decisions that are kept until what they depend on changes.
    pub(super) async fn keeping() -> Self {
        Self::build(|log| log, |_, embedded| embedded, 1).await
    }

    /// The same, with the engine reading the log through something.
    pub(super) async fn over(wrap: impl FnOnce(Arc<dyn EventLog>) -> Arc<dyn EventLog>) -> Self {
        Self::build(wrap, |switchable, _| switchable, 1).await
    }

    /// The same, with so many shards.
    pub(super) async fn sharded(shards: usize) -> Self {
        Self::build(|log| log, |switchable, _| switchable, shards).await
    }

    /// `decides`: by which of both access decides.
    async fn build(
        wrap: impl FnOnce(Arc<dyn EventLog>) -> Arc<dyn EventLog>,
        decides: impl FnOnce(Arc<dyn Relationships>, Arc<dyn Relationships>) -> Arc<dyn Relationships>,
        shards: usize,
    ) -> Self {
        let shards = shards.try_into().expect("at least one shard");
        let log = Arc::new(MemoryLog::new(Epoch(7), PARTITIONS));
        let audit = Arc::new(MemoryAudit::default());
        let embedded = Embedded::open(SCHEMA, NoJournal, Arc::new(Timestamp::now)).await.expect("the schema is sound");
        let embedded: Arc<dyn Relationships> = Arc::new(embedded);
        let relationships = Switchable::new(embedded.clone());
        for tenant in ["acme", "other"] {
            relationships.write(relations(tenant)).await.expect("the relations fit the schema");
        }
        let key = DataKey::new(&[1; KEY_BYTES]);
        let parts = Parts {
            log: wrap(log.clone()),
            access: Arc::new(Access::new(decides(Arc::new(relationships.clone()), embedded), Duration::from_secs(2))),
            audit: audit.clone(),
            keys: Arc::new(OneKey(key.clone())),
            audit_deadline: Duration::from_secs(5),
        };
        let shutdown = CancellationToken::new();
        let (engine, tasks) = Engine::new(parts.clone(), shards, shutdown.clone());
        tasks.into_iter().for_each(|shard| drop(tokio::spawn(shard)));
        Self { log, audit, relationships, engine, parts, key, shutdown }
    }

    /// Appends a change of a check of `member` to a partition; `id` tells it apart.
    pub(super) fn publish(&self, tenant: &str, member: &str, partition: Partition, id: &str) -> Position {
        self.log.append(partition, self.event(tenant, member, id))
    }

    pub(super) fn event(&self, tenant: &str, member: &str, id: &str) -> RecordedEvent {
        let check = EligibilityCheck {
            id: id.into(),
            member_id: member.into(),
            coverage: Some(Coverage {
                active: Some(true),
                group_number: Some("GROUP-SECRET".into()),
                ..Coverage::default()
            }),
            ..EligibilityCheck::default()
        };
        let changed = EligibilityCheckChanged { before: None, after: Some(check), changed: vec!["coverage".into()] };
        let channel =
            Channel::eligibility_check(&member.parse().expect("a member id"), &id.parse().expect("a check id"));
        let header = Header {
            event_id: format!("{tenant}-{id}"),
            r#type: EligibilityCheckChanged::full_name(),
            tenant: tenant.into(),
            subject: Some(Subject { r#type: "EligibilityCheck".into(), id: id.into() }),
            routing_key: Some(RoutingKey { kind: Kind::Member.into(), id: member.into() }),
            channel: channel.to_string(),
            ..Header::default()
        };
        let payload = self.key.seal(&header, &changed.encode_to_vec()).expect("seals");
        let position = Position { epoch: Epoch(7), partition: 0, seq: 0 };
        RecordedEvent { position, version: 1, header, payload }
    }

    pub(super) async fn subscribe(&self, viewer: Viewer, pattern: &str, start: Start, to: &Arc<Probe>) -> Handle {
        self.try_subscribe(viewer, pattern, start, to).await.expect("the subscription begins")
    }

    pub(super) async fn try_subscribe(
        &self,
        viewer: Viewer,
        pattern: &str,
        start: Start,
        to: &Arc<Probe>,
    ) -> Result<Handle, ClientError> {
        self.engine.subscribe(subscribe(viewer, pattern, start, to.clone())).await
    }
}

pub(super) fn subscribe(viewer: Viewer, pattern: &str, start: Start, subscriber: Arc<dyn Subscriber>) -> Subscribe {
    Subscribe {
        viewer: Arc::new(viewer),
        pattern: pattern.parse().expect("a pattern"),
        projection: Arc::new(JsonProjection),
        start,
        subscriber,
        transport: "test",
        root: None,
    }
}

/// What [`Bench::new`] says of a tenant's people.
pub(super) fn relations(tenant: &str) -> Vec<Update> {
    let tenant: TenantId = tenant.parse().expect("a tenant");
    let object = |kind: &str, id: &str| ObjectRef::new(kind, &tenant, id);
    let relate = |resource: ObjectRef, relation: &str, subject: ObjectRef| {
        let subject = SubjectRef { object: subject, relation: None };
        Update::Touch(Relationship { resource, relation: relation.into(), subject, expires: None })
    };
    vec![
        relate(object("member", "m-1"), "self", object("user", "member")),
        relate(object("member", "m-1"), "care_team", object("care_team", "t-1")),
        relate(object("care_team", "t-1"), "member", object("user", "nurse")),
        relate(object("member", "m-1"), "organization", object("organization", "clinic")),
        relate(object("organization", "clinic"), "billing", object("user", "clerk")),
    ]
}

/// `acme`'s people by name: "member", "nurse", "clerk", or anybody else.
pub(super) fn viewer(name: &str) -> Viewer {
    viewer_of("acme", name)
}

pub(super) fn viewer_of(tenant: &str, name: &str) -> Viewer {
    let purpose = match name {
        "nurse" => PurposeOfUse::Treatment,
        "clerk" => PurposeOfUse::Payment,
        _ => PurposeOfUse::PatientRequest,
    };
    Viewer {
        tenant: tenant.parse().expect("a tenant"),
        user: name.parse().expect("a user"),
        actor: None,
        purpose,
        expires: Timestamp::MAX.into(),
        token: Default::default(),
    }
}

/// A subscriber that keeps what it gets.
#[derive(Default)]
pub(super) struct Probe {
    got: Mutex<Vec<Bytes>>,
    capacity: Option<usize>,
    count: watch::Sender<usize>,
    refused: watch::Sender<usize>,
    ended: watch::Sender<Option<Option<ClientError>>>,
    recalled: watch::Sender<usize>,
    /// Whether what is recalled has yet to leave.
    unread: watch::Sender<bool>,
}

impl Probe {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// One that takes so many events and then lags.
    pub(super) fn lagging_after(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity: Some(capacity), ..Self::default() })
    }

    /// Waits for so many deliveries in all.
    pub(super) async fn count(&self, count: usize) -> Vec<serde_json::Value> {
        let mut got = self.count.subscribe();
        bounded(got.wait_for(|got| *got >= count), || format!("{count} deliveries, not {}", self.now().len())).await;
        self.now()
    }

    pub(super) fn now(&self) -> Vec<serde_json::Value> {
        let got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
        got.iter().map(|bytes| serde_json::from_slice(bytes).expect("JSON")).collect()
    }

    pub(super) fn raw(&self) -> Vec<Bytes> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn refused(&self) {
        let mut refused = self.refused.subscribe();
        bounded(refused.wait_for(|refused| *refused > 0), || "a refusal".into()).await;
    }

    pub(super) fn times_refused(&self) -> usize {
        *self.refused.borrow()
    }

    pub(super) fn times_recalled(&self) -> usize {
        *self.recalled.borrow()
    }

    /// Whether from now on what is recalled has yet to leave.
    pub(super) fn is_unread(&self, unread: bool) {
        self.unread.send_replace(unread);
    }

    pub(super) async fn end(&self) -> Option<ClientError> {
        let mut ended = self.ended.subscribe();
        bounded(ended.wait_for(Option::is_some), || "the end".into()).await;
        self.ended.borrow().clone().flatten()
    }
}

impl Subscriber for Probe {
    fn next(&self, payload: &Bytes, _place: &ReadVector) -> Result<(), Gone> {
        let mut got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
        if self.capacity.is_some_and(|capacity| got.len() >= capacity) {
            self.refused.send_modify(|refused| *refused += 1);
            return Err(Gone::Lagging);
        }
        got.push(payload.clone());
        self.count.send_replace(got.len());
        Ok(())
    }

    fn recall(&self) -> Option<Recalled> {
        self.recalled.send_modify(|recalled| *recalled += 1);
        let mut unread = self.unread.subscribe();
        Some(Box::pin(async move { drop(unread.wait_for(|unread| !unread).await) }))
    }

    fn end(&self, error: Option<ClientError>) {
        self.ended.send_replace(Some(error));
    }
}

/// Waits, but not for ever: what never comes fails the test. On the paused clock that takes no time.
pub(super) async fn bounded<T>(what: impl Future<Output = T>, wanted: impl Fn() -> String) {
    let came = tokio::time::timeout(Duration::from_secs(60), what).await;
    assert!(came.is_ok(), "waited in vain for {}", wanted());
}

/// Lets every task do what it can. On the paused clock, time passes only when all of them wait.
pub(super) async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// The ids of the checks in what was got, in order.
pub(super) fn ids(got: &[serde_json::Value]) -> Vec<String> {
    got.iter().map(|event| event["subject"]["id"].as_str().expect("an id").to_owned()).collect()
}

pub(super) fn cursor(event: &serde_json::Value) -> Cursor {
    event["cursor"].as_str().expect("a cursor").parse().expect("a cursor")
}
