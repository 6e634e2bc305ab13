//! Sluice itself, as people run it: all parts of an embedded installation, its own listener, access and audit on. Only the
//! events do not come in through a request: they are sealed and appended to the store, as a check's answer is.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use sluice::{
    app::{Altered, App, Ports, listen},
    config::{Config, Sources, Telemetry},
    telemetry,
    transports::TransportConfig,
};
use sluice_domain::{
    publish::{Cause, Envelope, member_key, timestamp},
    store::{Append, Appended},
};
use sluice_schema::{
    event::{NewEvent, RecordedEvent, StreamId},
    ids::{MemberId, TenantId},
    position::{Epoch, Partition, Position},
    proto::{
        eligibility::{CostShare, Coverage, EligibilityCheck, EligibilityCheckChanged, EligibilityState},
        header::{Provenance, Subject},
    },
};
use sluice_subscriptions::{
    audit::{AuditRecord, AuditTrail, AuditUnavailable, Verified},
    log::{EventLog, memory::MemoryLog},
    relationships::{ObjectRef, Relationship, SubjectRef, Update},
};
use tokio::runtime::Runtime;

use crate::{
    role::Peer,
    sample::{self, Event},
};

pub(crate) const TENANT: &str = "acme";

/// As the embedded store has them.
const PARTITIONS: Partition = 4;

/// How many relationships are written together.
const TOGETHER: usize = 1000;

/// What is switched off, to see what it costs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Off {
    pub(crate) access: bool,
    pub(crate) audit: bool,
    /// The log in memory: events go through the store.
    pub(crate) memory: bool,
}

pub(crate) struct Gateway {
    ports: Ports,
    runtime: Runtime,
    tenant: TenantId,
    /// How many events each member's stream has.
    versions: HashMap<u32, u64>,
    /// In memory, as the peers have their events; absent where they go through the store, and its disk.
    log: Option<Arc<MemoryLog>>,
}

impl Gateway {
    /// In a directory of its own.
    pub(crate) fn start(directory: &Path, off: Off) -> Result<(SocketAddr, Self), String> {
        let runtime = Runtime::new().map_err(|error| error.to_string())?;
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let file = std::env::var_os("SLUICE_BENCH_CONFIG").map(PathBuf::from);
        let config = Config::load(&Sources { file, ..Sources::of_process() }).map_err(|error| text(&error))?;
        // Some of the scenarios have one person on thousands of sockets, which come at once.
        let transports = TransportConfig {
            max_connections_per_viewer: 100_000,
            max_operations_per_second: 1_000_000,
            max_operations_burst: 1_000_000,
            ..config.transports
        };
        let config = Config {
            transports,
            data_dir: directory.into(),
            telemetry: Telemetry { log_filter: "warn".into(), ..Telemetry::default() },
            ..config
        };
        let metrics = telemetry::start(&config.telemetry).map_err(|error| text(&error))?;
        let log = (!off.memory).then(|| Arc::new(MemoryLog::new(Epoch(1), PARTITIONS)));
        let altered = Altered {
            log: log.clone().map(|log| log as Arc<dyn EventLog>),
            access: if off.access { |access| access.unchecked() } else { |access| access },
            audit: if off.audit { |_| Arc::new(NoAudit) } else { |audit| audit },
            ..Altered::default()
        };
        let app = runtime.block_on(App::build_altered(config, metrics, altered)).map_err(|error| text(&error))?;
        let local = ([127, 0, 0, 1], 0).into();
        let listener = runtime.block_on(async { listen(local) }).map_err(|error| text(&error))?;
        let address = listener.local_addr().map_err(|error| text(&error))?;
        let ports = app.ports();
        runtime.spawn(app.run(listener, std::future::pending()));
        let tenant = TENANT.parse().map_err(|error| text(&error))?;
        Ok((address, Self { ports, runtime, tenant, versions: HashMap::new(), log }))
    }

    /// One append for each member, with all of its events in order.
    fn appends(&mut self, events: &[Event]) -> Result<Vec<Append>, String> {
        let mut by_member: Vec<(u32, Vec<Event>)> = Vec::new();
        let mut places = HashMap::new();
        for event in events {
            let place = *places.entry(event.channel).or_insert_with(|| {
                by_member.push((event.channel, Vec::new()));
                by_member.len() - 1
            });
            by_member[place].1.push(*event);
        }
        by_member.into_iter().map(|(channel, events)| self.append(channel, &events)).collect()
    }

    fn append(&mut self, channel: u32, events: &[Event]) -> Result<Append, String> {
        let member: MemberId = sample::member(channel).parse().map_err(|_| "not a member's id")?;
        let owner = member_key(&member);
        let key = self
            .runtime
            .block_on(self.ports.keyring.create_or_get(&self.tenant, &owner))
            .map_err(|error| error.to_string())?;
        let seal =
            |event: &Event| self.envelope(event, &member)?.seal_state(&key, &changed(event)).map_err(|e| e.to_string());
        let sealed: Vec<NewEvent> = events.iter().map(seal).collect::<Result<_, _>>()?;
        let version = self.versions.entry(channel).or_default();
        let expected_version = *version;
        *version += events.len() as u64;
        let stream = StreamId::of("EligibilityCheck", member.as_str());
        Ok(Append { tenant: self.tenant.clone(), stream, expected_version, events: sealed, idempotency: None })
    }

    fn envelope(&self, event: &Event, member: &MemberId) -> Result<Envelope, String> {
        Ok(Envelope {
            tenant: self.tenant.clone(),
            subject: Subject { r#type: "EligibilityCheck".into(), id: sample::check_id(event) },
            routing_key: member_key(member),
            channel: sample::path(event).parse().map_err(|_| "not a channel")?,
            occurred_at: jiff::Timestamp::now(),
            producer: "bench".into(),
            cause: Cause::default(),
            provenance: Provenance { actor: "bench".into(), system: "bench".into(), purpose_of_use: String::new() },
        })
    }
}

impl Peer for Gateway {
    fn publish(&mut self, events: &[Event]) -> Result<(), String> {
        let appends = self.appends(events)?;
        if let Some(log) = &self.log {
            appends.into_iter().for_each(|append| to_memory(log, append));
            return Ok(());
        }
        let answers = self.runtime.block_on(self.ports.store.append_many(appends));
        answers.into_iter().try_for_each(|answer| match answer {
            Ok(Appended::Fresh { .. }) => Ok(()),
            other => Err(format!("not appended: {other:?}")),
        })
    }

    fn prepare(&mut self, members: u32, staff: u32) -> Result<(), String> {
        let object = |kind: &str, id: &str| ObjectRef::new(kind, &self.tenant, id);
        let relate = |resource: ObjectRef, relation: &str, subject: ObjectRef| {
            let subject = SubjectRef { object: subject, relation: None };
            Update::Touch(Relationship { resource, relation: relation.into(), subject, expires: None })
        };
        let myself = |n: u32| relate(object("member", &sample::member(n)), "self", object("user", &own_user(n)));
        let clerk = |n: u32| relate(object("organization", "clinic"), "billing", object("user", &staff_user(n)));
        let clinic = relate(object("member", &sample::member(0)), "organization", object("organization", "clinic"));
        let all: Vec<Update> =
            std::iter::once(clinic).chain((0..members).map(myself)).chain((0..staff).map(clerk)).collect();
        for some in all.chunks(TOGETHER) {
            let written = self.runtime.block_on(self.ports.relationships.write(some.to_vec()));
            written.map_err(|error| error.to_string())?;
        }
        self.make_keys(members)
    }
}

impl Gateway {
    /// A member's key is made with her first event, once: no part of what a delivery costs.
    fn make_keys(&self, members: u32) -> Result<(), String> {
        let (keyring, tenant) = (&self.ports.keyring, &self.tenant);
        for some in (0..members.max(1)).collect::<Vec<_>>().chunks(TOGETHER) {
            let keys = some.iter().map(|number| async move {
                let member: MemberId = sample::member(*number).parse().map_err(|_| "not a member's id".to_owned())?;
                keyring.create_or_get(tenant, &member_key(&member)).await.map(drop).map_err(|error| error.to_string())
            });
            self.runtime.block_on(futures_util::future::try_join_all(keys))?;
        }
        Ok(())
    }
}

fn to_memory(log: &MemoryLog, append: Append) {
    let number = append.stream.as_str().bytes().fold(0_usize, |sum, byte| sum + usize::from(byte));
    let partition = Partition::try_from(number % usize::from(PARTITIONS)).unwrap_or_default();
    for (version, event) in (append.expected_version + 1..).zip(append.events) {
        let position = Position { epoch: Epoch(1), partition, seq: 0 };
        log.append(partition, RecordedEvent { position, version, header: event.header, payload: event.payload });
    }
}

/// The user who is this member.
pub(crate) fn own_user(number: u32) -> String {
    format!("u-self-{number}")
}

/// A user who may see the first member, and is one of many.
pub(crate) fn staff_user(number: u32) -> String {
    format!("u-staff-{number}")
}

fn changed(event: &Event) -> EligibilityCheckChanged {
    let [amount, remaining] = sample::DEDUCTIBLE;
    let completed = sample::COMPLETED.parse().map(timestamp).ok();
    let before = EligibilityCheck {
        id: sample::check_id(event),
        member_id: sample::member(event.channel),
        state: EligibilityState::Accepted.into(),
        payer_id: Some(sample::PAYER.into()),
        requested_at: completed,
        ..Default::default()
    };
    let deductible = CostShare { amount: Some(amount.into()), remaining: Some(remaining.into()), ..Default::default() };
    let coverage = Coverage {
        active: Some(true),
        plan_name: Some(sample::PLAN.into()),
        deductibles: vec![deductible],
        ..Default::default()
    };
    let after = EligibilityCheck {
        state: EligibilityState::Answered.into(),
        completed_at: completed,
        coverage: Some(coverage),
        ..before.clone()
    };
    let paths = ["state", "completed_at", "coverage.active", "coverage.plan_name", "coverage.deductibles"];
    EligibilityCheckChanged { before: Some(before), after: Some(after), changed: paths.map(str::to_owned).to_vec() }
}

/// Keeps nothing.
struct NoAudit;

#[async_trait]
impl AuditTrail for NoAudit {
    async fn append(&self, _records: Vec<AuditRecord>) -> Result<(), AuditUnavailable> {
        Ok(())
    }

    async fn verify(&self) -> Result<Verified, AuditUnavailable> {
        Ok(Verified::Intact { records: 0 })
    }
}
