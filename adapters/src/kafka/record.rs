//! Events as records of the topic; the format is told in the module above.

use std::sync::Arc;

use aws_lc_rs::hmac;
use prost::Message as _;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, Position, Seq},
    proto::header,
    sealed::Sealed,
};

const EPOCH: &str = "sluice-epoch";
const SEQ: &str = "sluice-seq";
const VERSION: &str = "sluice-version";
const HEADER: &str = "sluice-header";

const KEY_BYTES: usize = 16;

/// Hashes routing keys, so that no id is a record's key.
pub(super) struct Keys(hmac::Key);

impl Keys {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Each part with its length, so that no two pairs run together.
    pub(super) fn of(&self, header: &header::Header) -> [u8; KEY_BYTES] {
        let routing_key = header.routing_key.clone().unwrap_or_default();
        let mut context = hmac::Context::with_key(&self.0);
        for part in [header.tenant.as_bytes(), &routing_key.kind.to_be_bytes(), routing_key.id.as_bytes()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut key = [0; KEY_BYTES];
        key.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        key
    }
}

pub(super) fn headers(event: &RecordedEvent) -> OwnedHeaders {
    let number = |headers: OwnedHeaders, key, value: u64| {
        headers.insert(Header { key, value: Some(value.to_be_bytes().as_slice()) })
    };
    let headers = number(OwnedHeaders::new_with_capacity(4), EPOCH, event.position.epoch.0);
    let headers = number(headers, SEQ, event.position.seq);
    let headers = number(headers, VERSION, event.version);
    headers.insert(Header { key: HEADER, value: Some(event.header.encode_to_vec().as_slice()) })
}

/// Milliseconds since 1970; `None` lets the client take its own clock.
pub(super) fn timestamp(event: &RecordedEvent) -> Option<i64> {
    let at = event.header.published_at.as_ref()?;
    Some(at.seconds * 1000 + i64::from(at.nanos) / 1_000_000)
}

/// Where a record is, in the topic's terms and in ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: i64,
    pub(super) seq: Seq,
}

/// The record is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the topic holds a record that Sluice did not write: give it a topic of its own")]
pub(super) struct Foreign;

/// Just where a record is, and of which epoch: enough to seek.
pub(super) fn place(message: &BorrowedMessage<'_>) -> Result<(Epoch, Partition, Place), Foreign> {
    let partition = Partition::try_from(message.partition()).map_err(|_| Foreign)?;
    let place = Place { offset: message.offset(), seq: number(message, SEQ)? };
    Ok((Epoch(number(message, EPOCH)?), partition, place))
}

pub(super) fn decode(message: &BorrowedMessage<'_>) -> Result<Arc<RecordedEvent>, Foreign> {
    let (epoch, partition, place) = place(message)?;
    Ok(Arc::new(RecordedEvent {
        position: Position { epoch, partition, seq: place.seq },
        version: number(message, VERSION)?,
        header: header::Header::decode(value(message, HEADER)?).map_err(|_| Foreign)?,
        payload: Sealed(message.payload().unwrap_or_default().to_vec().into()),
    }))
}

fn value<'a>(message: &'a BorrowedMessage<'_>, key: &str) -> Result<&'a [u8], Foreign> {
    let headers = message.headers().ok_or(Foreign)?;
    headers.iter().find(|header| header.key == key).and_then(|header| header.value).ok_or(Foreign)
}

fn number(message: &BorrowedMessage<'_>, key: &str) -> Result<u64, Foreign> {
    value(message, key)?.try_into().map(u64::from_be_bytes).map_err(|_| Foreign)
}

#[cfg(test)]
mod tests {
    use sluice_schema::proto::header::{Header, RoutingKey};

    use super::*;

    fn header(tenant: &str, kind: i32, id: &str) -> Header {
        Header { tenant: tenant.into(), routing_key: Some(RoutingKey { kind, id: id.into() }), ..Header::default() }
    }

    #[test]
    fn a_key_is_of_tenant_and_routing_key_alone() {
        let keys = Keys::new(&[7; 32]);
        let key = keys.of(&header("acme", 1, "m-1"));
        let same = Header { event_id: "another".into(), ..header("acme", 1, "m-1") };
        assert_eq!(keys.of(&same), key);
        for other in [header("acm", 1, "em-1"), header("acme", 2, "m-1"), header("acme", 1, "m-2")] {
            assert_ne!(keys.of(&other), key);
        }
        assert_ne!(Keys::new(&[8; 32]).of(&header("acme", 1, "m-1")), key);
    }
}
