//! How many instructions one delivery takes: routed, decided, redacted, rendered and put into a frame. Run by valgrind's callgrind, which
//! counts what happens within [`measured`]; `cargo xtask bench instructions` does that, and holds it against what is on record.
//! A count is the same on a busy machine.

#[allow(dead_code, unused_imports, reason = "only the head of a text is measured")]
#[path = "../../src/transports/websocket/frame.rs"]
mod frame;

use std::{
    cell::RefCell,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use prost::{Message, Name};
use sluice_domain::{
    eligibility::commands::EligibilityService,
    emergency::EmergencyService,
    twins::{MemoryKeyring, MemoryStore, ScriptedPayer},
};
use sluice_resolvers::{Graph, Limits, RawRequest, Services};
use sluice_schema::{
    channel::Channel,
    error::ClientError,
    event::RecordedEvent,
    ids::TenantId,
    position::{Epoch, Position, ReadVector},
    proto::{
        eligibility::{CostShare, Coverage, EligibilityCheck, EligibilityCheckChanged, EligibilityState},
        header::{Header, RoutingKey, Subject, routing_key::Kind},
    },
    sealed::{DataKey, KEY_BYTES},
    viewer::{PurposeOfUse, Viewer},
};
use sluice_subscriptions::{
    access::Access,
    audit::{AuditRecord, AuditTrail, AuditUnavailable, Verified},
    deliver::{Gone, Subscriber},
    engine::{Engine, Handle, Parts},
    log::memory::MemoryLog,
    opened::{KeysUnavailable, PayloadKeys},
    relationships::{Embedded, NoJournal, ObjectRef, Relationship, Relationships, SCHEMA, SubjectRef, Update},
    revocations::memory::node_alone,
};
use tokio_util::sync::CancellationToken;

const TENANT: &str = "acme";
const PARTITIONS: u16 = 4;
const QUERY: &str = "subscription($channel: Channel!) { events(channel: $channel) { id type payload {
    ... on EligibilityCheckChanged { after { id state payerId coverage { active planName deductibles { amount remaining } } } } } } }";

/// Who watches what.
struct Shape {
    subscribers: u64,
    /// Members; each has as many of the subscribers as the others.
    members: u64,
    events: u64,
}

fn main() {
    let shape = match std::env::args().nth(1).as_deref() {
        Some("fan-out") => Shape { subscribers: 500, members: 1, events: 8 },
        Some("own-channel") => Shape { subscribers: 500, members: 500, events: 500 },
        // `cargo test --benches` runs this as well: that it was built is all that is wanted then.
        _ => return println!("nothing counted: run `cargo xtask bench instructions`"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let house = runtime.block_on(House::of(&shape));
    // What is made once is made by then.
    runtime.block_on(house.publish(house.events(shape.members)));
    runtime.block_on(house.is_caught_up());
    let before = house.frames();
    measured(&runtime, &house, house.events(shape.events));
    println!("deliveries: {}", house.frames() - before);
}

/// What is counted.
#[inline(never)]
fn measured(runtime: &tokio::runtime::Runtime, house: &House, events: Vec<(u16, RecordedEvent)>) {
    runtime.block_on(house.publish(events));
}

struct House {
    log: Arc<MemoryLog>,
    key: DataKey,
    sink: Arc<Sink>,
    members: u64,
    of_each: u64,
    handles: Vec<Handle>,
}

impl House {
    async fn of(shape: &Shape) -> Self {
        let embedded = Embedded::open(SCHEMA, NoJournal, Arc::new(Timestamp::now)).await.expect("the schema is sound");
        embedded
            .write((0..shape.subscribers).map(|n| relation(n, n % shape.members)).collect())
            .await
            .expect("it fits");
        let relationships: Arc<dyn Relationships> = Arc::new(embedded);
        let access = Arc::new(Access::new(relationships.clone(), Duration::from_secs(2)));
        let log = Arc::new(MemoryLog::new(Epoch(1), PARTITIONS));
        let key = DataKey::new(&[7; KEY_BYTES]);
        let parts = Parts {
            log: log.clone(),
            access: access.clone(),
            audit: Arc::new(Unrecorded),
            keys: Arc::new(OneKey(key.clone())),
            audit_deadline: Duration::from_secs(5),
        };
        let (engine, shards) = Engine::new(parts, std::num::NonZeroUsize::MIN, CancellationToken::new());
        shards.into_iter().for_each(|shard| drop(tokio::spawn(shard)));
        let graph = graph(access, relationships, engine).await;
        let sink = Arc::new(Sink::default());
        let mut handles = Vec::new();
        for number in 0..shape.subscribers {
            handles.push(subscribe(&graph, number, number % shape.members, &sink).await);
        }
        let of_each = shape.subscribers / shape.members;
        Self { log, key, sink, members: shape.members, of_each, handles }
    }

    /// Until the shard has all subscriptions: one that catches up opens and renders for itself.
    async fn is_caught_up(&self) {
        for handle in &self.handles {
            handle.caught_up().await;
        }
        // On one thread: each time all who can go on do, those who caught up to their end.
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
    }

    /// For each member in turn.
    fn events(&self, count: u64) -> Vec<(u16, RecordedEvent)> {
        let partition = |member: u64| u16::try_from(member % u64::from(PARTITIONS)).expect("few");
        let members = (0..count).map(|number| (number, number % self.members));
        members.map(|(number, member)| (partition(member), self.event(member, number))).collect()
    }

    /// Waits until all is delivered.
    async fn publish(&self, events: Vec<(u16, RecordedEvent)>) {
        let wanted = self.frames() + events.len() as u64 * self.of_each;
        for (partition, event) in events {
            self.log.append(partition, event);
        }
        while self.frames() < wanted {
            tokio::task::yield_now().await;
        }
    }

    fn frames(&self) -> u64 {
        self.sink.0.load(Ordering::Relaxed)
    }

    fn event(&self, member: u64, number: u64) -> RecordedEvent {
        let (member, check) = (format!("m-{member}"), format!("ec-{number}"));
        let changed = changed(&member, &check);
        let channel = Channel::eligibility_check(&member.parse().expect("an id"), &check.parse().expect("an id"));
        let header = Header {
            event_id: format!("e-{number}"),
            r#type: EligibilityCheckChanged::full_name(),
            tenant: TENANT.into(),
            subject: Some(Subject { r#type: "EligibilityCheck".into(), id: check }),
            routing_key: Some(RoutingKey { kind: Kind::Member.into(), id: member }),
            channel: channel.to_string(),
            ..Header::default()
        };
        let payload = self.key.seal(&header, &changed.encode_to_vec()).expect("seals");
        RecordedEvent { position: Position { epoch: Epoch(1), partition: 0, seq: 0 }, version: 1, header, payload }
    }
}

fn changed(member: &str, check: &str) -> EligibilityCheckChanged {
    let deductible = CostShare { amount: Some("1500".into()), remaining: Some("900".into()), ..CostShare::default() };
    let coverage = Coverage {
        active: Some(true),
        plan_name: Some("Harbor PPO 1500".into()),
        deductibles: vec![deductible],
        ..Coverage::default()
    };
    let after = EligibilityCheck {
        id: check.into(),
        member_id: member.into(),
        state: EligibilityState::Answered.into(),
        payer_id: Some("60054".into()),
        coverage: Some(coverage),
        ..EligibilityCheck::default()
    };
    EligibilityCheckChanged { before: None, after: Some(after), changed: vec!["state".into(), "coverage".into()] }
}

fn relation(subscriber: u64, member: u64) -> Update {
    let tenant: TenantId = TENANT.parse().expect("a tenant");
    let subject = ObjectRef::new("user", &tenant, &format!("u-{subscriber}"));
    Update::Touch(Relationship {
        resource: ObjectRef::new("member", &tenant, &format!("m-{member}")),
        relation: "self".into(),
        subject: SubjectRef { object: subject, relation: None },
        expires: None,
    })
}

async fn graph(access: Arc<Access>, relationships: Arc<dyn Relationships>, engine: Engine) -> Graph {
    let (store, keyring) = (Arc::new(MemoryStore::default()), Arc::new(MemoryKeyring::default()));
    let emergency = EmergencyService::new(store.clone(), keyring.clone());
    let eligibility = EligibilityService::new(store, keyring, Arc::new(ScriptedPayer::default()));
    let (reader, revocations) = (eligibility.reader(), node_alone().await);
    let services = Services { reader, eligibility, emergency, access, relationships, engine, revocations };
    Graph::new(services, Limits::default()).expect("the schema is annotated")
}

async fn subscribe(graph: &Graph, number: u64, member: u64, sink: &Arc<Sink>) -> Handle {
    let viewer = Viewer {
        tenant: TENANT.parse().expect("a tenant"),
        user: format!("u-{number}").parse().expect("a user"),
        actor: None,
        purpose: PurposeOfUse::PatientRequest,
        expires: Timestamp::MAX.into(),
        token: Default::default(),
    };
    let channel = format!("/members/m-{member}/eligibility/*");
    let variables = serde_json::Map::from_iter([("channel".to_owned(), channel.into())]);
    let request = RawRequest { query: QUERY.into(), operation_name: None, variables };
    let operation = graph.parse(request).expect("it is GraphQL");
    graph.subscribe(Arc::new(viewer), operation, "count", sink.clone(), None).await.expect("it is valid")
}

/// Puts frames together as a socket's queue does, and counts them.
#[derive(Default)]
struct Sink(AtomicU64);

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Subscriber for Sink {
    fn next(&self, payload: &Bytes, _place: &ReadVector) -> Result<(), Gone> {
        const HEAD: &[u8] = br#"{"id":"5f0c7b0e-3c55-4a6e-8f0e-6a8b7d3c2b1a","type":"next","payload":"#;
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            frame::begin_text(HEAD.len() + payload.len() + 1, scratch);
            [HEAD, payload, b"}"].iter().for_each(|part| scratch.extend_from_slice(part));
            black_box(&scratch);
        });
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn end(&self, error: Option<ClientError>) {
        panic!("a subscription ended: {error:?}");
    }
}

struct OneKey(DataKey);

#[async_trait]
impl PayloadKeys for OneKey {
    async fn key(&self, _: &TenantId, _: &RoutingKey) -> Result<Option<DataKey>, KeysUnavailable> {
        Ok(Some(self.0.clone()))
    }
}

/// The trail has benchmarks of its own.
struct Unrecorded;

#[async_trait]
impl AuditTrail for Unrecorded {
    async fn append(&self, records: Vec<AuditRecord>) -> Result<(), AuditUnavailable> {
        black_box(records);
        Ok(())
    }

    async fn verify(&self) -> Result<Verified, AuditUnavailable> {
        Ok(Verified::Intact { records: 0 })
    }
}
