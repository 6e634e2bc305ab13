//! An engine on twins, clients that come and go, and the model beside them.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicUsize, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use sluice_schema::position::{Cursor, Partition, ReadVector};
use tokio_util::sync::CancellationToken;

use super::{
    super::bench::{Bench, PARTITIONS, Probe, bounded, relations, viewer_of},
    Setting,
    model::{Client, Connection, MEMBERS, Model, Published, Rights, TENANTS},
    twins::{Erasable, Outage, Stamped},
};
use crate::{
    access::Access,
    audit::memory::Mood,
    engine::{Engine, Handle, Parts, Start, Subscribe},
    log::{EventLog, hostile::Hostile},
    opened::OpenedEvent,
    relationships::{
        Embedded, NoJournal, ObjectRef, Relationship, Relationships, SCHEMA, SubjectRef, Update, twin::Switchable,
    },
};

/// More often than any schedule takes.
const MANY: usize = 300;

/// A client as it is now, and what it had before.
pub(super) struct Running {
    pub(super) client: Client,
    capacity: Option<usize>,
    /// Where it goes on; `None`: it begins with the next event.
    place: Option<ReadVector>,
    /// Cursors that it got.
    cursors: Vec<ReadVector>,
    seen: ReadVector,
    connected: Option<Connected>,
}

struct Connected {
    handle: Handle,
    to: Arc<Stamped>,
    connection: Connection,
}

pub(super) struct World {
    pub(super) bench: Bench,
    pub(super) log: Arc<Outage>,
    pub(super) keys: Arc<Erasable>,
    pub(super) relationships: Switchable,
    pub(super) clients: Vec<Running>,
    engine: Engine,
    embedded: Arc<dyn Relationships>,
    clock: Arc<RwLock<Timestamp>>,
    begun: Timestamp,
    model: Model,
    changes: Arc<AtomicUsize>,
    /// Decisions are kept, by the real clock: time can't be moved.
    keeps: bool,
}

fn relate(kind: &str, tenant: usize, id: &str, relation: &str, (what, who): (&str, &str)) -> Relationship {
    let tenant = TENANTS[tenant].parse().expect("a tenant");
    let subject = SubjectRef { object: ObjectRef::new(what, &tenant, who), relation: None };
    Relationship { resource: ObjectRef::new(kind, &tenant, id), relation: relation.into(), subject, expires: None }
}

impl World {
    pub(super) async fn new(setting: &Setting) -> Self {
        let bench = Bench::new().await;
        let begun = Timestamp::now();
        let clock = Arc::new(RwLock::new(begun));
        let now = clock.clone();
        let clock_of = move || *now.read().unwrap_or_else(PoisonError::into_inner);
        let embedded = Embedded::open(SCHEMA, NoJournal, Arc::new(clock_of)).await.expect("the schema is sound");
        let embedded: Arc<dyn Relationships> = Arc::new(embedded);
        for (number, tenant) in TENANTS.into_iter().enumerate() {
            let second = relate("member", number, "m-2", "care_team", ("care_team", "t-1"));
            let all = [relations(tenant), vec![Update::Touch(second)]].concat();
            embedded.write(all).await.expect("the relations fit the schema");
        }
        let relationships = Switchable::new(embedded.clone());
        let decides: Arc<dyn Relationships> =
            if setting.keeps { embedded.clone() } else { Arc::new(relationships.clone()) };
        let log: Arc<dyn EventLog> = match setting.hostility {
            Some(seed) => Arc::new(Hostile::new(bench.log.clone(), seed)),
            None => bench.log.clone(),
        };
        let (log, keys) = (Arc::new(Outage::new(log)), Arc::new(Erasable::new(bench.key.clone())));
        let parts = Parts {
            log: log.clone(),
            access: Arc::new(Access::new(decides, std::time::Duration::from_secs(2))),
            keys: keys.clone(),
            ..bench.parts.clone()
        };
        let (engine, tasks) =
            Engine::new(parts, setting.shards.try_into().expect("some shards"), CancellationToken::new());
        tasks.into_iter().for_each(|shard| drop(tokio::spawn(shard)));
        let rights = Rights { nurse: [true; 2], ..Rights::default() };
        Self {
            bench,
            log,
            keys,
            relationships,
            clients: setting.clients.iter().cloned().map(Running::new).collect(),
            engine,
            embedded,
            clock,
            begun,
            model: Model::new(rights),
            changes: Arc::default(),
            keeps: setting.keeps,
        }
    }

    fn heads(&self) -> ReadVector {
        self.bench.log.heads().borrow().clone()
    }

    pub(super) async fn publish(&mut self, tenant: usize, member: usize, partition: Partition) {
        let id = format!("ec-{:03}", self.model.events.len());
        let position = self.bench.publish(TENANTS[tenant], MEMBERS[member], partition, &id);
        let read = self.bench.log.read(partition, position.seq - 1, 1).await.expect("reads").remove(0);
        let opened = OpenedEvent::open(self.bench.parts.keys.as_ref(), &read).await.expect("opens").expect("is known");
        let changes = self.model.rights.len() - 1;
        self.model.events.push(Published { tenant, member, id, partition, seq: position.seq, changes, opened });
    }

    /// A change of rights: from now on events may be decided by either, and behind it by the new ones only.
    fn change(&mut self, change: impl FnOnce(&mut Rights)) {
        let mut rights = self.model.rights.last().expect("there always are some").clone();
        change(&mut rights);
        self.model.rights.push(rights);
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    async fn write(&self, update: Update) {
        self.embedded.write(vec![update]).await.expect("is written");
    }

    pub(super) async fn nurse(&mut self, tenant: usize, joins: bool) {
        self.change(|rights| rights.nurse[tenant] = joins);
        let membership = relate("care_team", tenant, "t-1", "member", ("user", "nurse"));
        self.write(if joins { Update::Touch(membership) } else { Update::Delete(membership) }).await;
    }

    /// For so many seconds from now; none: not any more.
    pub(super) async fn guardian(&mut self, tenant: usize, seconds: Option<i64>) {
        self.change(|rights| rights.guardian[tenant] = seconds.map(|seconds| rights.now + seconds));
        let until = self.model.rights.last().and_then(|rights| rights.guardian[tenant]);
        let expires = until.map(|until| self.begun + SignedDuration::from_secs(until));
        let guards = Relationship { expires, ..relate("member", tenant, "m-1", "guardian", ("user", "guardian")) };
        self.write(if expires.is_some() { Update::Touch(guards) } else { Update::Delete(guards) }).await;
    }

    pub(super) fn pass(&mut self, seconds: i64) {
        if !self.keeps {
            self.change(|rights| rights.now += seconds);
            let mut clock = self.clock.write().unwrap_or_else(PoisonError::into_inner);
            *clock += SignedDuration::from_secs(seconds);
        }
    }

    pub(super) fn erase(&mut self, tenant: usize, member: usize) {
        self.change(|rights| rights.erased.extend([(tenant, member)]));
        self.keys.erase(TENANTS[tenant], MEMBERS[member]);
    }

    pub(super) fn recover(&self) {
        self.bench.audit.set(Mood::Sound);
        self.relationships.recover();
        self.log.set(false);
        self.keys.give_back();
    }

    /// Everything is there again, and whatever was published has been passed by.
    pub(super) async fn quiesce(&mut self) {
        self.recover();
        let heads = self.heads();
        for shard in &self.engine.shared.shards {
            let mut progress = shard.progress.subscribe();
            bounded(progress.wait_for(|progress| progress.covers(&heads)), || "a shard".into()).await;
        }
        let at = self.model.rights.len() - 1;
        for running in &mut self.clients {
            if let Some(connected) = &mut running.connected {
                bounded(connected.handle.caught_up(), || format!("{} to catch up", running.client.name)).await;
                connected.connection.passed.push((heads.clone(), at));
            }
        }
    }

    /// A client comes (back), where it is not here.
    pub(super) async fn begin(&mut self, number: usize) -> Result<(), String> {
        if self.clients[number].is_slow() {
            self.cut(number, false).await?;
        }
        let running = &self.clients[number];
        if running.connected.is_some() {
            return Ok(());
        }
        let connection = Connection {
            may: running.place.clone().unwrap_or_else(|| self.engine.place()),
            must: running.place.clone().unwrap_or_else(|| self.heads()),
            begun: self.model.rights.len() - 1,
            passed: Vec::new(),
        };
        let probe = running.capacity.map_or_else(Probe::new, Probe::lagging_after);
        let to = Arc::new(Stamped::new(probe, self.changes.clone()));
        let subscribe = self.subscribe(running, to.clone());
        // It does not begin while it can't be audited, or while its cursor can't be looked at.
        if let Ok(handle) = self.engine.subscribe(subscribe).await {
            self.clients[number].connected = Some(Connected { handle, to, connection });
        }
        Ok(())
    }

    fn subscribe(&self, running: &Running, subscriber: Arc<Stamped>) -> Subscribe {
        let client = &running.client;
        let after = |place: &ReadVector| Start::After(self.engine.cursor(place.clone()));
        Subscribe {
            viewer: Arc::new(viewer_of(TENANTS[client.tenant], client.user)),
            pattern: client.pattern.parse().expect("a pattern"),
            projection: client.shape.projection(),
            start: running.place.as_ref().map_or(Start::Live, after),
            subscriber,
            transport: client.name,
            root: None,
        }
    }

    /// A client is gone; it will go on behind what it got last, or, where it was `told`, behind what it was told.
    pub(super) async fn cut(&mut self, number: usize, told: bool) -> Result<(), String> {
        let Some(Connected { handle, to, connection }) = self.clients[number].connected.take() else { return Ok(()) };
        let place = told.then(|| handle.place().vector);
        drop(handle);
        self.over(number, &to, &connection, place).await
    }

    pub(super) async fn finish(&mut self, number: usize) -> Result<(), String> {
        let Some(Connected { handle, to, connection }) = self.clients[number].connected.take() else { return Ok(()) };
        let place = handle.finish().await.vector;
        self.over(number, &to, &connection, Some(place)).await
    }

    /// Where the engine says that everybody is who was sent everything so far.
    pub(super) async fn ping(&mut self, number: usize) -> Result<(), String> {
        let Some(connected) = &self.clients[number].connected else { return Ok(()) };
        let attached = tokio::select! {
            biased;
            () = connected.handle.caught_up() => !self.clients[number].is_slow(),
            () = std::future::ready(()) => false,
        };
        if !attached {
            return Ok(());
        }
        let place = self.engine.place();
        let Some(Connected { handle, to, connection }) = self.clients[number].connected.take() else { return Ok(()) };
        drop(handle);
        self.over(number, &to, &connection, Some(place)).await
    }

    /// Takes a cursor that another client of the same viewer got, or this one earlier, and begins anew behind it.
    pub(super) async fn adopt(&mut self, number: usize, from: usize, which: usize) -> Result<(), String> {
        let (to, from) = (&self.clients[number].client, &self.clients[from]);
        if (to.tenant, to.user) != (from.client.tenant, from.client.user) || from.cursors.is_empty() {
            return Ok(());
        }
        let place = from.cursors[which % from.cursors.len()].clone();
        self.cut(number, false).await?;
        self.clients[number].seen = place.clone();
        self.clients[number].place = Some(place);
        self.begin(number).await
    }

    async fn over(
        &mut self,
        number: usize,
        to: &Stamped,
        connection: &Connection,
        place: Option<ReadVector>,
    ) -> Result<(), String> {
        let got = to.got();
        let running = &mut self.clients[number];
        for (_, bytes) in &got {
            let shown: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
            let cursor: Cursor = shown["cursor"].as_str().and_then(|text| text.parse().ok()).ok_or("no cursor")?;
            running.cursors.push(cursor.vector.clone());
            running.place = Some(cursor.vector);
        }
        if let Some(told) = place.filter(|_| to.probe.times_refused() == 0) {
            let place = running.place.get_or_insert_with(|| connection.may.clone());
            told.partitions().for_each(|(partition, seq)| place.advance(partition, seq));
        }
        // One who got nothing and was told nothing has nothing to hold against it.
        let end = running.place.clone().unwrap_or_else(|| ReadVector::start(PARTITIONS));
        let records = self.bench.audit.records();
        self.model.check(&running.client, connection, &got, &end, &records, &mut running.seen).await
    }

    /// In the end everybody has everything.
    pub(super) async fn end(&mut self) -> Result<(), String> {
        let heads = self.heads();
        for number in 0..self.clients.len() {
            // One that lags goes on as often as it takes, and one that an append to the trail still fails for begins again.
            for _ in 0..MANY {
                self.recover();
                self.begin(number).await?;
                self.quiesce().await;
                if self.clients[number].connected.is_some() && !self.clients[number].is_slow() {
                    break;
                }
            }
            let place = self.clients[number].connected.as_ref().map(|connected| connected.handle.place().vector);
            if place.is_none_or(|place| !place.covers(&heads)) {
                return Err(format!("{} is not where the log is", self.clients[number].client.name));
            }
            self.cut(number, true).await?;
        }
        Ok(())
    }
}

impl Running {
    fn new((client, capacity): (Client, Option<usize>)) -> Self {
        let seen = ReadVector::start(PARTITIONS);
        Self { client, capacity, place: None, cursors: Vec::new(), seen, connected: None }
    }

    fn is_slow(&self) -> bool {
        self.connected.as_ref().is_some_and(|connected| connected.to.probe.times_refused() > 0)
    }
}
