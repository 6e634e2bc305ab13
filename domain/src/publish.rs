//! From what happened to an event that can be stored, and back.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use prost::{Message, Name};
use sluice_schema::{
    channel::Channel,
    event::{NewEvent, RecordedEvent},
    ids::{MemberId, TenantId, new_event_id},
    proto::header::{Header, Provenance, RoutingKey, Subject, routing_key::Kind},
    sealed::{DataKey, Unopenable},
};

use crate::keyring::{Keyring, KeyringUnavailable};

/// What time it is; a test hands in its own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

pub fn system_clock() -> Clock {
    Arc::new(Timestamp::now)
}

/// What an event follows from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// One id for everything that follows from one request.
    pub correlation_id: String,
    /// The event that is the cause; empty where a person's request is.
    pub causation_id: String,
    /// W3C Trace Context; empty where there is none.
    pub traceparent: String,
}

/// What the events of one append have in common.
#[derive(Debug, Clone)]
pub struct Envelope {
    pub tenant: TenantId,
    pub subject: Subject,
    pub routing_key: RoutingKey,
    pub channel: Channel,
    pub occurred_at: Timestamp,
    /// The program, e.g. `sluice/0.1.0`.
    pub producer: String,
    pub cause: Cause,
    pub provenance: Provenance,
}

impl Envelope {
    /// An event whose payload is the encoded message of the type with this full name.
    pub fn seal(&self, key: &DataKey, type_name: String, payload: &[u8]) -> Result<NewEvent, Unopenable> {
        let header = self.header(type_name);
        let payload = key.seal(&header, payload)?;
        Ok(NewEvent { header, payload, holds_state: false })
    }

    /// A `*Changed` event: it holds the subject's whole state.
    pub fn seal_state<M: Message + Name>(&self, key: &DataKey, changed: &M) -> Result<NewEvent, Unopenable> {
        let event = self.seal(key, M::full_name(), &changed.encode_to_vec())?;
        Ok(NewEvent { holds_state: true, ..event })
    }

    fn header(&self, type_name: String) -> Header {
        Header {
            event_id: new_event_id(),
            r#type: type_name,
            tenant: self.tenant.to_string(),
            subject: Some(self.subject.clone()),
            routing_key: Some(self.routing_key.clone()),
            channel: self.channel.to_string(),
            occurred_at: Some(timestamp(self.occurred_at)),
            published_at: None,
            producer: self.producer.clone(),
            correlation_id: self.cause.correlation_id.clone(),
            causation_id: self.cause.causation_id.clone(),
            traceparent: self.cause.traceparent.clone(),
            schema_version: 1,
            provenance: Some(self.provenance.clone()),
        }
    }
}

/// Everything about a member lies in the member's partition.
pub fn member_key(member: &MemberId) -> RoutingKey {
    RoutingKey { kind: Kind::Member.into(), id: member.to_string() }
}

pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    // A `Timestamp` before 1970 has negative nanoseconds, protobuf's are never negative.
    let (seconds, nanos) = (at.as_second(), at.subsec_nanosecond());
    if nanos < 0 {
        prost_types::Timestamp { seconds: seconds - 1, nanos: nanos + 1_000_000_000 }
    } else {
        prost_types::Timestamp { seconds, nanos }
    }
}

/// Why a payload can't be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Keyring(#[from] KeyringUnavailable),
    /// Altered, or sealed with another key: a fault, not an erasure.
    #[error("event {event_id}: {source}")]
    Unopenable { event_id: String, source: Unopenable },
}

/// The payload's bytes; `None` where the key was erased, and the event with it.
pub async fn open(keyring: &dyn Keyring, tenant: &TenantId, event: &RecordedEvent) -> Result<Option<Bytes>, OpenError> {
    let routing_key = event.header.routing_key.clone().unwrap_or_default();
    let Some(key) = keyring.get(tenant, &routing_key).await? else { return Ok(None) };
    let opened = key.open(&event.header, &event.payload);
    opened.map(Some).map_err(|source| OpenError::Unopenable { event_id: event.header.event_id.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_have_no_negative_nanoseconds() {
        let at = timestamp("1969-12-31T23:59:59.25Z".parse().expect("time"));
        assert_eq!((at.seconds, at.nanos), (-1, 250_000_000));
        let at = timestamp("2026-11-24T08:30:00.125Z".parse().expect("time"));
        assert_eq!((at.seconds, at.nanos), (1_795_509_000, 125_000_000));
    }
}
