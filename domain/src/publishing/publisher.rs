//! Appends what other systems say, each event once.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sluice_schema::{
    event::StreamId,
    ids::TenantId,
    position::Position,
    proto::header::{Provenance, RoutingKey},
};

use super::incoming::{Incoming, Refusal};
use crate::{
    keyring::{Keyring, KeyringUnavailable},
    publish::{Clock, Envelope, open, system_clock},
    store::{Append, AppendError, Appended, EventStore, Idempotency},
};

/// The first part of the streams' names: a stream for each event, so that a second one can't be appended.
const STREAM: &str = "Foreign";

/// The event is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    Fresh {
        event_id: String,
        position: Position,
    },
    /// It was here before, with the same payload: nothing was written.
    Repeated,
}

/// Why an event is not durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    #[error("the source used this event id for another event")]
    Conflict,
    #[error("the event has {bytes} bytes, and {largest} is the most")]
    TooLarge { bytes: usize, largest: usize },
    /// Try again, with all that came behind it under the same routing key.
    #[error("not now: {0}")]
    Unavailable(String),
}

impl From<KeyringUnavailable> for PublishError {
    fn from(error: KeyringUnavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Events from outside go through here and nowhere else.
#[derive(Clone)]
pub struct Publisher {
    store: Arc<dyn EventStore>,
    keyring: Arc<dyn Keyring>,
    clock: Clock,
}

type Outcome = Result<Published, PublishError>;

impl Publisher {
    pub fn new(store: Arc<dyn EventStore>, keyring: Arc<dyn Keyring>) -> Self {
        Self { store, keyring, clock: system_clock() }
    }

    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Appends in batches. One outcome for each event, in order.
    ///
    /// The events of one routing key become durable in the order in which they stand here: behind one that is
    /// `Unavailable`, all of its routing key are.
    pub async fn publish(&self, events: &[Incoming]) -> Vec<Outcome> {
        let mut outcomes = vec![Err(PublishError::Unavailable("one before it waits".into())); events.len()];
        let mut held = HashSet::new();
        for wave in waves(events) {
            let wave: Vec<_> = wave.into_iter().filter(|index| !held.contains(&owner(&events[*index]))).collect();
            for (index, outcome) in self.publish_wave(events, &wave).await {
                if matches!(outcome, Err(PublishError::Unavailable(_))) {
                    held.insert(owner(&events[index]));
                }
                outcomes[index] = outcome;
            }
        }
        outcomes
    }

    async fn publish_wave(&self, events: &[Incoming], wave: &[usize]) -> Vec<(usize, Outcome)> {
        let mut done = Vec::with_capacity(wave.len());
        let (mut ready, mut appends) = (Vec::new(), Vec::new());
        for index in wave.iter().copied() {
            match self.prepare(&events[index]).await {
                Ok((event_id, append)) => {
                    ready.push((index, event_id, append.stream.clone()));
                    appends.push(append);
                }
                Err(error) => done.push((index, Err(error))),
            }
        }
        let mut appended =
            if appends.is_empty() { Vec::new() } else { self.store.append_many(appends).await }.into_iter();
        for (index, event_id, stream) in ready {
            let outcome = match appended.next() {
                Some(Ok(Appended::Fresh { positions, .. })) => fresh(event_id, &positions),
                Some(Ok(Appended::Repeated { .. })) => Ok(Published::Repeated),
                Some(Err(AppendError::IdempotencyConflict)) => Err(PublishError::Conflict),
                // The stream is there and the idempotency record is not.
                Some(Err(AppendError::Conflict { .. })) => self.compare(&events[index], &stream).await,
                Some(Err(AppendError::TooLarge { bytes, largest })) => Err(PublishError::TooLarge { bytes, largest }),
                Some(Err(AppendError::Unavailable(why))) => Err(PublishError::Unavailable(why)),
                None => Err(PublishError::Unavailable("no answer".into())),
            };
            done.push((index, outcome));
        }
        done
    }

    async fn prepare(&self, event: &Incoming) -> Result<(String, Append), PublishError> {
        let payload = event.check()?;
        let key = self.keyring.create_or_get(&event.tenant, &event.routing_key).await?;
        let sealed = self.envelope(event).seal(&key, event.type_name.clone(), &payload);
        let mut sealed = sealed.map_err(|_| Refusal::Sealing)?;
        let event_id = sealed.header.event_id.clone();
        if sealed.header.correlation_id.is_empty() {
            sealed.header.correlation_id.clone_from(&event_id);
        }
        let name = self.fingerprint(&event.tenant, &[event.source.as_bytes(), event.id.as_bytes()]).await?;
        let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        let idempotency = Idempotency {
            scope: format!("foreign/{}", event.source),
            key: name.clone(),
            input_hash: self.fingerprint(&event.tenant, &[event.type_name.as_bytes(), &payload]).await?,
            result: event_id.clone(),
        };
        let append = Append {
            tenant: event.tenant.clone(),
            stream: StreamId::of(STREAM, &name),
            expected_version: 0,
            events: vec![sealed],
            idempotency: Some(idempotency),
        };
        Ok((event_id, append))
    }

    /// Of parts of any content: none can pass for two.
    async fn fingerprint(&self, tenant: &TenantId, parts: &[&[u8]]) -> Result<[u8; 32], KeyringUnavailable> {
        let mut input = b"foreign".to_vec();
        for part in parts {
            input.extend((part.len() as u64).to_be_bytes());
            input.extend_from_slice(part);
        }
        self.keyring.fingerprint(tenant, &input).await
    }

    /// Whether the event that is there says the same.
    async fn compare(&self, event: &Incoming, stream: &StreamId) -> Outcome {
        let unavailable = |why: String| PublishError::Unavailable(why);
        let stored = self.store.load(&event.tenant, stream).await.map_err(|error| unavailable(error.to_string()))?;
        let Some(first) = stored.first() else { return Err(unavailable("its stream can't be read".into())) };
        let opened = open(self.keyring.as_ref(), &event.tenant, first).await;
        let opened = opened.map_err(|error| unavailable(error.to_string()))?;
        // What was erased is not told again.
        let same =
            first.header.r#type == event.type_name && opened.is_none_or(|payload| event.check() == Ok(payload.into()));
        if same { Ok(Published::Repeated) } else { Err(PublishError::Conflict) }
    }

    fn envelope(&self, event: &Incoming) -> Envelope {
        Envelope {
            tenant: event.tenant.clone(),
            subject: event.subject.clone(),
            routing_key: event.routing_key.clone(),
            channel: event.channel.clone(),
            occurred_at: event.occurred_at.unwrap_or_else(|| (self.clock)()),
            producer: event.source.clone(),
            cause: event.cause.clone(),
            provenance: Provenance {
                actor: event.source.clone(),
                system: event.source.clone(),
                purpose_of_use: String::new(),
            },
        }
    }
}

type Owner<'e> = (&'e TenantId, &'e RoutingKey);

fn owner(event: &Incoming) -> Owner<'_> {
    (&event.tenant, &event.routing_key)
}

fn fresh(event_id: String, positions: &[Position]) -> Outcome {
    let position = positions.first().copied();
    let position = position.ok_or_else(|| PublishError::Unavailable("the store told no position".into()))?;
    Ok(Published::Fresh { event_id, position })
}

/// The indices of the events in groups: the first of each routing key, then the second of each, and so on. An append of
/// a batch can fail while one behind it succeeds, so no batch has two whose order matters.
fn waves(events: &[Incoming]) -> Vec<Vec<usize>> {
    let mut waves: Vec<Vec<usize>> = Vec::new();
    let mut seen: HashMap<Owner<'_>, usize> = HashMap::new();
    for (index, event) in events.iter().enumerate() {
        let nth = seen.entry(owner(event)).or_default();
        if waves.len() <= *nth {
            waves.push(Vec::new());
        }
        waves[*nth].push(index);
        *nth += 1;
    }
    waves
}

#[cfg(test)]
#[path = "publisher_tests.rs"]
mod tests;
