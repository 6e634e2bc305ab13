//! A running engine on twins, and what it is held against: every event decided, taken apart and rendered for one viewer
//! alone, by parts that nobody else uses.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use prost::{Message, Name};
use sluice_domain::{
    eligibility::commands::EligibilityService,
    emergency::EmergencyService,
    keyring::Keyring,
    publish::member_key,
    store::{Append, EventStore},
    twins::{MemoryKeyring, MemoryStore, ScriptedPayer},
};
use sluice_schema::{
    access::{Mask, Payload},
    channel::Channel,
    event::{NewEvent, RecordedEvent, StreamId},
    ids::{MemberId, TenantId},
    position::{Epoch, ReadVector},
    proto::{
        eligibility::EligibilityCheckChanged,
        header::{Header, RoutingKey, Subject},
    },
    sealed::DataKey,
    viewer::Viewer,
};
use sluice_subscriptions::{
    access::{Access, Question},
    audit::memory::MemoryAudit,
    engine::{Engine, Parts},
    log::{EventLog, memory::MemoryLog},
    opened::{KeysUnavailable, OpenedEvent, PayloadKeys},
    relationships::{Embedded, NoJournal, Relationships, SCHEMA},
    render::{Projection, Seen},
    revocations::memory::node_alone,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    events::{self, Fact},
    people::{Related, TENANT},
    tape::Tape,
};
use crate::{Graph, Limits, Services};

/// Checks and whose they are.
pub(super) const CHECKS: [(&str, &str); 3] = [("ec-1", "m-1"), ("ec-2", "m-1"), ("ec-3", "m-2")];
/// The store's.
const EPOCH: Epoch = Epoch(1);

pub(super) struct World {
    pub(super) log: Arc<MemoryLog>,
    pub(super) audit: Arc<MemoryAudit>,
    pub(super) relationships: Arc<dyn Relationships>,
    pub(super) related: Related,
    pub(super) engine: Engine,
    pub(super) graph: Graph,
    pub(super) services: Services,
    /// By the event's id.
    pub(super) facts: HashMap<String, Vec<Fact>>,
    store: Arc<MemoryStore>,
    keyring: Arc<MemoryKeyring>,
    _running: DropGuard,
}

/// What one viewer is to get of one event.
pub(super) struct Fresh {
    pub(super) mask: Mask,
    pub(super) bytes: Bytes,
}

struct Keys(Arc<MemoryKeyring>);

#[async_trait]
impl PayloadKeys for Keys {
    async fn key(&self, tenant: &TenantId, routing_key: &RoutingKey) -> Result<Option<DataKey>, KeysUnavailable> {
        self.0.get(tenant, routing_key).await.map_err(|error| KeysUnavailable(error.to_string()))
    }
}

impl World {
    pub(super) async fn new(shards: usize, related: u32) -> Self {
        let embedded = Embedded::open(SCHEMA, NoJournal, Arc::new(Timestamp::now)).await.expect("the schema is sound");
        let relationships: Arc<dyn Relationships> = Arc::new(embedded);
        let (related, updates) = Related::new(related);
        relationships.write(updates).await.expect("they fit the schema");
        let (store, keyring) = (Arc::new(MemoryStore::default()), Arc::new(MemoryKeyring::default()));
        let log = Arc::new(MemoryLog::new(EPOCH, store.heads().0.len().try_into().expect("few")));
        let audit = Arc::new(MemoryAudit::default());
        let access = Arc::new(Access::new(relationships.clone(), Duration::from_secs(2)));
        let parts = Parts {
            log: log.clone(),
            access: access.clone(),
            audit: audit.clone(),
            keys: Arc::new(Keys(keyring.clone())),
            audit_deadline: Duration::from_secs(5),
        };
        let shutdown = CancellationToken::new();
        let (engine, tasks) = Engine::new(parts, shards.try_into().expect("one at least"), shutdown.clone());
        tasks.into_iter().for_each(|shard| drop(tokio::spawn(shard)));
        let eligibility = EligibilityService::new(store.clone(), keyring.clone(), Arc::new(ScriptedPayer::default()));
        let services = Services {
            reader: eligibility.reader(),
            eligibility,
            emergency: EmergencyService::new(store.clone(), keyring.clone()),
            access,
            relationships: relationships.clone(),
            engine: engine.clone(),
            revocations: node_alone().await,
        };
        let graph = Graph::new(services.clone(), Limits::default()).expect("the schema is annotated");
        let (facts, _running) = (HashMap::new(), shutdown.drop_guard());
        Self { log, audit, relationships, related, engine, graph, services, facts, store, keyring, _running }
    }

    pub(super) fn heads(&self) -> ReadVector {
        self.store.heads()
    }

    /// Stores a change of a check, and has the log tell it. Gives it as it was recorded, and its cursor's vector.
    pub(super) async fn publish(&mut self, check: u8, tape: Tape) -> (Arc<RecordedEvent>, ReadVector) {
        let (check, member) = CHECKS[usize::from(check) % CHECKS.len()];
        let (changed, facts) = events::random(check, member, tape);
        let number = self.store.events().len();
        self.facts.insert(format!("e-{number}"), facts);
        let event = self.new_event(number, check, &member.parse().expect("an id"), &changed).await;
        let stream = StreamId::of("EligibilityCheck", check);
        let tenant: TenantId = TENANT.parse().expect("a tenant");
        let expected_version = self.store.load(&tenant, &stream).await.expect("loads").len() as u64;
        let append = Append { tenant, stream, expected_version, events: vec![event], idempotency: None };
        self.store.append(append).await.expect("appends");
        let recorded = self.store.events()[number].clone();
        let position = self.log.append(recorded.position.partition, recorded.as_ref().clone());
        assert_eq!(position, recorded.position, "the log is the store's");
        (recorded, self.store.heads())
    }

    async fn new_event(
        &self,
        number: usize,
        check: &str,
        member: &MemberId,
        changed: &EligibilityCheckChanged,
    ) -> NewEvent {
        let tenant: TenantId = TENANT.parse().expect("a tenant");
        let channel = Channel::eligibility_check(member, &check.parse().expect("an id"));
        let header = Header {
            event_id: format!("e-{number}"),
            r#type: EligibilityCheckChanged::full_name(),
            tenant: TENANT.into(),
            subject: Some(Subject { r#type: "EligibilityCheck".into(), id: check.into() }),
            routing_key: Some(member_key(member)),
            channel: channel.to_string(),
            ..Header::default()
        };
        let key = self.keyring.create_or_get(&tenant, &member_key(member)).await.expect("a key");
        let payload = key.seal(&header, &changed.encode_to_vec()).expect("seals");
        NewEvent { header, payload, holds_state: true }
    }

    /// By what is written now, with nothing kept from before.
    pub(super) async fn mask(&self, viewer: &Viewer, member: Option<&MemberId>) -> Mask {
        let access = Access::new(self.relationships.clone(), Duration::from_secs(2));
        let question = Question { viewer, member, demand: Mask::EVERYTHING };
        access.decide(&[question]).await.expect("decides")[0].mask
    }

    /// `None`: it is not for this viewer, or there is no state in it where `states` are all that is shown.
    pub(super) async fn fresh(
        &self,
        viewer: &Viewer,
        (projection, states): (&dyn Projection, bool),
        event: &Arc<RecordedEvent>,
        at: ReadVector,
    ) -> Option<Fresh> {
        let opened = OpenedEvent::open(&Keys(self.keyring.clone()), event).await.expect("opens").expect("is known");
        let mask = self.mask(viewer, opened.patient.as_ref()).await;
        let seen = Seen::by(&opened, mask)?;
        if states && matches!(&*seen.payload, Payload::EligibilityCheckChanged(changed) if changed.after.is_none()) {
            return None;
        }
        let cursor = self.engine.cursor(at).to_string();
        let bytes = projection.renderer().render(&seen, &cursor).await.expect("renders");
        Some(Fresh { mask, bytes })
    }

    /// Waits for what other tasks do, without a clock.
    pub(super) async fn until(&self, what: &str, came: impl Fn() -> bool) {
        for _ in 0..100_000 {
            if came() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("waited in vain for {what}");
    }

    pub(super) async fn settled(&self) {
        let heads = self.log.heads().borrow().clone();
        self.until("the shards", || self.engine.place().covers(&heads)).await;
    }
}
