//! What each client must have got, worked out from nothing but what was published and who had which rights when.

use std::{
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
    sync::Arc,
};

use bytes::Bytes;
use sluice_schema::{
    access::{Mask, Sensitivities, Visibilities},
    position::{Cursor, Partition, ReadVector, Seq},
    proto::privacy::{Sensitivity, Visibility},
};

use super::shapes::Shape;
use crate::{
    audit::{Action, AuditRecord},
    opened::OpenedEvent,
    render::Seen,
};

pub(super) const TENANTS: [&str; 2] = ["acme", "other"];
pub(super) const MEMBERS: [&str; 2] = ["m-1", "m-2"];

/// Who has which rights, between one change and the next.
#[derive(Debug, Clone, Default)]
pub(super) struct Rights {
    /// By tenant: the nurse is in the care team of both members.
    pub(super) nurse: [bool; 2],
    /// By tenant: until when the guardian may act for the first member.
    pub(super) guardian: [Option<i64>; 2],
    pub(super) now: i64,
    /// Tenants and members by number.
    pub(super) erased: HashSet<(usize, usize)>,
}

impl Rights {
    fn mask(&self, tenant: usize, user: &str, member: usize) -> Mask {
        // Each event is decided for by what is right then, whether or not something strict is shown.
        let also = |visibilities: Visibilities, sensitivities: Sensitivities| Mask {
            visibilities,
            sensitivities: sensitivities.with(Sensitivities::STRICT),
        };
        let see = |visibility, sensitivities| also(Visibilities::of(visibility), sensitivities);
        match (user, member) {
            _ if self.erased.contains(&(tenant, member)) => Mask::NOTHING,
            ("member", 0) => see(Visibility::Member, Sensitivities::ALL),
            ("clerk", 0) => see(Visibility::Staff, Sensitivities::NORMAL),
            ("guardian", 0) if self.guardian[tenant].is_some_and(|until| self.now < until) => {
                let family = [Visibility::FamilyCoverage, Visibility::FamilyCare].map(Visibilities::of);
                also(family[0].with(family[1]), Sensitivities::NORMAL)
            }
            ("nurse", _) if self.nurse[tenant] => {
                let treats = [Sensitivity::BehavioralHealth, Sensitivity::Reproductive].map(Sensitivities::of);
                see(Visibility::CareTeam, treats[0].with(treats[1]))
            }
            _ => Mask::NOTHING,
        }
    }
}

/// Whose client it is, and what it asks for.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) tenant: usize,
    pub(super) user: &'static str,
    pub(super) pattern: &'static str,
    pub(super) shape: Shape,
    /// Tells its deliveries from others' in the audit trail.
    pub(super) name: &'static str,
}

/// One event in the log.
pub(super) struct Published {
    pub(super) tenant: usize,
    pub(super) member: usize,
    pub(super) id: String,
    pub(super) partition: Partition,
    pub(super) seq: Seq,
    /// How many changes of rights were over by then.
    pub(super) changes: usize,
    pub(super) opened: Arc<OpenedEvent>,
}

/// One subscription from its beginning to its end.
pub(super) struct Connection {
    /// Nothing that this covers may come.
    pub(super) may: ReadVector,
    /// All that this does not cover must come.
    pub(super) must: ReadVector,
    pub(super) begun: usize,
    /// Up to here everything was passed by, at so many changes.
    pub(super) passed: Vec<(ReadVector, usize)>,
}

/// What a subscription had got at its end, in order, each with how many changes had begun by then.
pub(super) type Got = Vec<(usize, Bytes)>;

pub(super) struct Model {
    /// By how many changes there were before.
    pub(super) rights: Vec<Rights>,
    pub(super) events: Vec<Published>,
    rendered: HashMap<(String, Shape, Mask), String>,
}

/// Event id, cursor and recipient, with the decisions that are on record for them.
type OnRecord = HashMap<(String, String, String), Vec<(u8, u8)>>;

/// What stands in for a cursor where bytes are compared.
const CURSOR: &str = "CURSOR";

impl Model {
    pub(super) fn new(rights: Rights) -> Self {
        Self { rights: vec![rights], events: Vec::new(), rendered: HashMap::new() }
    }

    /// Holds one connection of a client, of which everything up to `end` was passed by, against what should have been.
    /// `seen`: the last seq of each partition that this client got before; it moves on.
    pub(super) async fn check(
        &mut self,
        client: &Client,
        connection: &Connection,
        got: &Got,
        end: &ReadVector,
        records: &[AuditRecord],
        seen: &mut ReadVector,
    ) -> Result<(), String> {
        let on_record = on_record(records);
        let mut delivered = HashSet::new();
        for (stamp, bytes) in got {
            let shown: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
            let id = shown["subject"]["id"].as_str().ok_or("no id")?;
            let cursor: Cursor = shown["cursor"].as_str().and_then(|text| text.parse().ok()).ok_or("no cursor")?;
            let index = self.events.iter().position(|event| event.id == id).ok_or("nobody published it")?;
            let event = &self.events[index];
            let fault =
                |what: &str| Err(format!("{} got {id} ({}/{}): {what}", client.name, event.partition, event.seq));
            if event.tenant != client.tenant || !matches(client.pattern, event) {
                return fault("it is not what was asked for");
            }
            if event.seq <= connection.may.get(event.partition) {
                return fault("it was covered by the cursor");
            }
            if event.seq <= seen.get(event.partition) {
                return fault("it came twice, or out of order");
            }
            seen.advance(event.partition, event.seq);
            delivered.insert(index);
            if !cursor.vector.covers(&connection.may) || cursor.vector.get(event.partition) != event.seq {
                return fault("its cursor is not behind it");
            }
            if delivered.iter().any(|index| !covers(&cursor.vector, &self.events[*index])) {
                return fault("its cursor is before what came earlier");
            }
            self.complete(client, connection, &delivered, &cursor.vector, *stamp)?;
            let text = shown["cursor"].as_str().unwrap_or_default();
            let key =
                (self.events[index].opened.recorded.header.event_id.clone(), text.to_owned(), client.name.to_owned());
            let decisions = on_record.get(&key).ok_or_else(|| format!("{} got {id} without a record", client.name))?;
            self.decided(client, index, self.lowest(connection, index)..=*stamp, decisions, (bytes, text)).await?;
        }
        self.complete(client, connection, &delivered, end, self.rights.len() - 1)
    }

    /// Everything up to `end` that could not be held back was delivered.
    pub(super) fn complete(
        &self,
        client: &Client,
        connection: &Connection,
        delivered: &HashSet<usize>,
        end: &ReadVector,
        stamp: usize,
    ) -> Result<(), String> {
        for (index, event) in self.events.iter().enumerate() {
            let concerns = event.tenant == client.tenant && matches(client.pattern, event);
            let behind = event.seq > connection.must.get(event.partition) && covers(end, event);
            if !concerns || !behind || delivered.contains(&index) {
                continue;
            }
            let passed = connection.passed.iter().find(|(vector, _)| covers(vector, event)).map(|(_, stamp)| *stamp);
            let mut when = self.lowest(connection, index)..=passed.unwrap_or(stamp).min(stamp);
            if when.all(|at| self.mask(client, index, at).is_some()) {
                let (partition, seq) = (event.partition, event.seq);
                return Err(format!("{} never got {} ({partition}/{seq}), and is told {end:?}", client.name, event.id));
            }
        }
        Ok(())
    }

    /// The bytes and the record are those of one of the decisions that were right then.
    async fn decided(
        &mut self,
        client: &Client,
        index: usize,
        when: RangeInclusive<usize>,
        on_record: &[(u8, u8)],
        (bytes, cursor): (&Bytes, &str),
    ) -> Result<(), String> {
        let shown = String::from_utf8_lossy(bytes).replace(cursor, CURSOR);
        for at in when.clone() {
            let Some(mask) = self.mask(client, index, at) else { continue };
            let is_on_record = on_record.contains(&(mask.visibilities.bits(), mask.sensitivities.bits()));
            if is_on_record && self.rendered(client.shape, index, mask).await? == shown {
                return Ok(());
            }
        }
        let id = &self.events[index].id;
        let masks: Vec<_> = when.map(|at| self.mask(client, index, at)).collect();
        Err(format!("{} got {id} as {shown} with {on_record:?} on record, and may see by {masks:?}", client.name))
    }

    /// By what the client may see an event at a time, of what it depends on; `None`: not at all.
    fn mask(&self, client: &Client, index: usize, at: usize) -> Option<Mask> {
        let event = &self.events[index];
        let mask = self.rights[at].mask(event.tenant, client.user, event.member).within(client.shape.demand().mask());
        mask.sees(event.opened.payload.table().label).then_some(mask)
    }

    async fn rendered(&mut self, shape: Shape, index: usize, mask: Mask) -> Result<String, String> {
        let event = &self.events[index];
        let key = (event.id.clone(), shape, mask);
        if let Some(rendered) = self.rendered.get(&key) {
            return Ok(rendered.clone());
        }
        let seen = Seen::by(&event.opened, mask).ok_or("not to be seen")?;
        let fresh = shape.projection().renderer().render(&seen, CURSOR).await.map_err(|error| error.0)?;
        let fresh = String::from_utf8_lossy(&fresh).into_owned();
        self.rendered.insert(key, fresh.clone());
        Ok(fresh)
    }

    /// No decision about it can be older.
    fn lowest(&self, connection: &Connection, index: usize) -> usize {
        self.events[index].changes.max(connection.begun)
    }
}

fn on_record(records: &[AuditRecord]) -> OnRecord {
    let mut all = OnRecord::new();
    for record in records {
        let Action::Deliver { event_id, cursor, seen, audience, .. } = &record.action else { continue };
        for recipient in audience.recipients() {
            let key = (event_id.clone(), cursor.clone(), recipient.transport.clone());
            let seen = recipient.seen.as_ref().unwrap_or(seen);
            all.entry(key).or_default().push((seen.visibilities, seen.sensitivities));
        }
    }
    all
}

fn covers(vector: &ReadVector, event: &Published) -> bool {
    event.seq <= vector.get(event.partition)
}

fn matches(pattern: &str, event: &Published) -> bool {
    let (member, id) = (MEMBERS[event.member], &event.id);
    match pattern {
        "/**" | "/members/*/eligibility/*" => true,
        "/members/m-1/**" => member == "m-1",
        "/members/m-2/eligibility/*" => member == "m-2",
        exact => exact == format!("/members/{member}/eligibility/{id}"),
    }
}
