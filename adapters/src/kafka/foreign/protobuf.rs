//! Our own protobuf: the header `sluice-header` holds a `shared.events.v1.Header`, the value the message of its type.

use std::collections::BTreeMap;

use jiff::Timestamp;
use prost::Message;
use sluice_schema::proto::header::Header;

use super::{
    config::Framing,
    event::{Data, ForeignEvent, Rejection, undecodable},
    record::Record,
};

const HEADER: &str = "sluice-header";

/// The names that templates may use.
pub(super) const ATTRIBUTES: [&str; 5] = ["id", "source", "type", "subject", "routingkey"];

pub(super) fn decode(record: &Record, framing: Framing) -> Result<ForeignEvent, Rejection> {
    let header = record.header(HEADER).ok_or_else(|| undecodable("there is not just one sluice-header"))?;
    let header = Header::decode(header).map_err(|_| undecodable("sluice-header is not a Header"))?;
    if header.event_id.is_empty() || header.r#type.is_empty() || header.producer.is_empty() {
        return Err(undecodable("the header lacks event_id, type or producer"));
    }
    let value = match framing {
        Framing::Plain => record.value(),
        Framing::Confluent => {
            unframe(record.value()).ok_or_else(|| undecodable("the value has no Confluent framing"))?
        }
    };
    let time = header.occurred_at.map(|at| Timestamp::new(at.seconds, at.nanos));
    let time = time.transpose().map_err(|_| undecodable("occurred_at is no time"))?;
    // A new version of a program is the same source.
    let source = header.producer.split('/').next().unwrap_or_default().to_owned();
    Ok(ForeignEvent {
        attributes: attributes(&header, &source),
        id: header.event_id,
        source,
        r#type: header.r#type,
        time,
        data: Data::Protobuf(value.to_vec()),
    })
}

fn attributes(header: &Header, source: &str) -> BTreeMap<String, String> {
    let subject = header.subject.clone().unwrap_or_default();
    let routing_key = header.routing_key.clone().unwrap_or_default();
    let pairs = [
        ("id", header.event_id.as_str()),
        ("source", source),
        ("type", &header.r#type),
        ("subject", &subject.id),
        ("routingkey", &routing_key.id),
        ("tenant", &header.tenant),
        ("correlationid", &header.correlation_id),
        ("traceparent", &header.traceparent),
    ];
    let present = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    present.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Confluent's wire format: 0x00, four bytes of the schema's id, then the message's index as a list of zigzag varints,
/// where a lone 0 stands for the list [0].
fn unframe(value: &[u8]) -> Option<&[u8]> {
    let (magic, rest) = value.split_first()?;
    let (_, mut rest) = rest.split_at_checked(4)?;
    if *magic != 0 {
        return None;
    }
    let count = varint(&mut rest)? >> 1;
    if count > 16 {
        return None;
    }
    for _ in 0..count {
        varint(&mut rest)?;
    }
    Some(rest)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(rest).ok()
}
