//! What becomes of the appends of a group, decided in memory under the locks of its partitions.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use sluice_domain::store::{Append, AppendError, Appended, Idempotency};
use sluice_schema::{
    event::RecordedEvent,
    position::{Partition, ReadVector, Seq},
    proto::header::RoutingKey,
};

use crate::{
    placement::Placement,
    record::{admit, record},
};

pub(super) type Answer = Result<Appended, AppendError>;

/// What was read about an append.
pub(super) struct Found {
    /// Of its stream.
    pub(super) version: u64,
    /// Of its idempotency key's first use: the input's hash, and the result.
    pub(super) earlier: Option<(Vec<u8>, String)>,
}

/// A locked head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: Seq,
    /// Unix milliseconds; times of publication never go back, whatever the nodes' clocks do.
    pub(super) published_at: i64,
}

/// Tenant, type and id.
pub(super) type EntityKey<'a> = (&'a str, &'a str, &'a str);

/// What a group writes.
#[derive(Default)]
pub(super) struct Writes<'a> {
    pub(super) events: Vec<EventToWrite<'a>>,
    /// The last whole state of each entity.
    pub(super) states: BTreeMap<EntityKey<'a>, (&'a RoutingKey, Partition, Seq)>,
    pub(super) keys: BTreeMap<KeyOf<'a>, (&'a Idempotency, i64)>,
    /// The partitions whose heads moved.
    pub(super) heads: BTreeMap<Partition, Head>,
}

pub(super) struct EventToWrite<'a> {
    pub(super) append: &'a Append,
    pub(super) event: Arc<RecordedEvent>,
    pub(super) published_at: i64,
    pub(super) holds_state: bool,
}

/// Tenant, scope and key.
type KeyOf<'a> = (&'a str, &'a str, &'a str);

/// The group as far as it is decided; later appends see earlier ones.
pub(super) struct Decisions<'a> {
    placement: &'a Placement,
    locked: BTreeMap<Partition, Head>,
    /// How far each partition is, with what is decided.
    vector: ReadVector,
    versions: HashMap<(&'a str, &'a str), u64>,
    pub(super) writes: Writes<'a>,
}

impl<'a> Decisions<'a> {
    pub(super) fn new(placement: &'a Placement, locked: BTreeMap<Partition, Head>, vector: ReadVector) -> Self {
        Self { placement, locked, vector, versions: HashMap::new(), writes: Writes::default() }
    }

    /// How far each partition is once the group is committed.
    pub(super) fn vector(&self) -> &ReadVector {
        &self.vector
    }

    /// Decides one append at `now` (Unix milliseconds).
    pub(super) fn decide(&mut self, append: &'a Append, found: Found, now: i64) -> Answer {
        let routing_key = admit(append)?;
        if let Some(answer) = self.answer_repeat(append, found.earlier) {
            return answer;
        }
        let stream = (append.tenant.as_str(), append.stream.as_str());
        let version = self.versions.get(&stream).copied().unwrap_or(found.version);
        if version != append.expected_version {
            return Err(AppendError::Conflict { actual: version });
        }
        self.versions.insert(stream, version + append.events.len() as u64);
        self.accept(append, self.placement.partition(append.tenant.as_str(), routing_key), now)
    }

    fn answer_repeat(&self, append: &Append, stored: Option<(Vec<u8>, String)>) -> Option<Answer> {
        let now = append.idempotency.as_ref()?;
        let of_group = self.writes.keys.get(&key_of(append, now));
        let of_group = of_group.map(|(first, _)| (first.input_hash.to_vec(), first.result.clone()));
        let (input_hash, result) = of_group.or(stored)?;
        if now.input_hash.as_slice() == input_hash {
            Some(Ok(Appended::Repeated { result, heads: self.vector.clone() }))
        } else {
            Some(Err(AppendError::IdempotencyConflict))
        }
    }

    fn accept(&mut self, append: &'a Append, partition: Partition, now: i64) -> Answer {
        let Some(head) = self.locked.get_mut(&partition) else {
            return Err(AppendError::Unavailable(format!("partition {partition} has no head: the store is damaged")));
        };
        let published_at = head.published_at.max(now);
        let events = record(append, self.placement, partition, head.seq, published_at);
        *head = Head { seq: head.seq + events.len() as u64, published_at };
        self.writes.heads.insert(partition, *head);
        self.vector.advance(partition, head.seq);
        let positions = events.iter().map(|event| event.position).collect();
        self.write(append, events, published_at);
        Ok(Appended::Fresh { positions, heads: self.vector.clone() })
    }

    fn write(&mut self, append: &'a Append, events: Vec<Arc<RecordedEvent>>, published_at: i64) {
        for (new, event) in append.events.iter().zip(events) {
            if let (true, Some(subject), Some(routing_key)) =
                (new.holds_state, &new.header.subject, &new.header.routing_key)
            {
                let entity = (append.tenant.as_str(), subject.r#type.as_str(), subject.id.as_str());
                let state = (routing_key, event.position.partition, event.position.seq);
                self.writes.states.insert(entity, state);
            }
            let holds_state = new.holds_state;
            self.writes.events.push(EventToWrite { append, event, published_at, holds_state });
        }
        if let Some(idempotency) = &append.idempotency {
            self.writes.keys.insert(key_of(append, idempotency), (idempotency, published_at));
        }
    }
}

fn key_of<'a>(append: &'a Append, idempotency: &'a Idempotency) -> KeyOf<'a> {
    (append.tenant.as_str(), idempotency.scope.as_str(), idempotency.key.as_str())
}

#[cfg(test)]
mod tests;
