//! What other services send.

use std::{collections::BTreeMap, sync::Arc};

use prost::Message as _;
use rdkafka::message::{Header, OwnedHeaders};
use serde_json::{Value, json};
use sluice_adapters::kafka::foreign::ForeignTopic;
use sluice_schema::{
    event::RecordedEvent,
    proto::{
        coverage::{CoverageChanged, CoverageStatus},
        header,
    },
};

pub(super) const PARTITIONS: i32 = 3;
const SOURCE: &str = "//enrollment.example";

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub(super) partition: i32,
    pub(super) key: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) value: Vec<u8>,
}

impl Message {
    pub(super) fn headers(&self) -> OwnedHeaders {
        self.headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Encoding {
    Binary,
    Structured,
    Protobuf,
}

/// The configuration of a topic whose messages are made here.
pub(super) fn config(topic: &str, format: &str) -> ForeignTopic {
    serde_json::from_value(json!({
        "topic": topic, "format": format, "tenant": "acme", "session_timeout_seconds": 6,
        "events": [{
            "type": "coverage.changed", "message": "sluice.coverage.v1.CoverageChanged",
            "subject_type": "Coverage", "subject": "{data.coverageId}",
            "member": "{data.memberId}", "channel": "/members/{data.memberId}/coverage/{data.coverageId}",
        }],
    }))
    .unwrap()
}

/// The `n`th event, about one of seven members, all of whose events are in one partition.
pub(super) fn event(n: usize, encoding: Encoding) -> Message {
    let member = n % 7;
    let (headers, value) = match encoding {
        Encoding::Binary => (binary(n), data(n).to_string().into_bytes()),
        Encoding::Structured => (structured(), envelope(n).to_string().into_bytes()),
        Encoding::Protobuf => (vec![("sluice-header".into(), header(n))], coverage(n)),
    };
    Message { partition: member as i32 % PARTITIONS, key: format!("m-{member}"), headers, value }
}

/// As [`event`], in structured mode, with something changed.
pub(super) fn changed(n: usize, change: impl FnOnce(&mut Value)) -> Message {
    let mut envelope = envelope(n);
    change(&mut envelope);
    Message { value: envelope.to_string().into_bytes(), ..event(n, Encoding::Structured) }
}

fn data(n: usize) -> Value {
    json!({ "coverageId": format!("c-{n}"), "memberId": format!("m-{}", n % 7), "status": "COVERAGE_STATUS_ACTIVE",
        "planName": format!("Plan {n}") })
}

fn envelope(n: usize) -> Value {
    json!({ "specversion": "1.0", "id": format!("e-{n}"), "source": SOURCE, "type": "coverage.changed",
        "time": "2026-11-24T08:30:00Z", "data": data(n) })
}

fn structured() -> Vec<(String, Vec<u8>)> {
    vec![("content-type".into(), b"application/cloudevents+json".to_vec())]
}

fn binary(n: usize) -> Vec<(String, Vec<u8>)> {
    let id = format!("e-{n}");
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", &id),
        ("ce_source", SOURCE),
        ("ce_type", "coverage.changed"),
        ("content-type", "application/json"),
    ];
    headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn header(n: usize) -> Vec<u8> {
    let header = header::Header {
        event_id: format!("e-{n}"),
        r#type: "coverage.changed".into(),
        producer: "enrollment/1.2".into(),
        ..Default::default()
    };
    header.encode_to_vec()
}

fn coverage(n: usize) -> Vec<u8> {
    let coverage = CoverageChanged {
        coverage_id: format!("c-{n}"),
        member_id: format!("m-{}", n % 7),
        status: CoverageStatus::Active.into(),
        plan_name: Some(format!("Plan {n}")),
        ..Default::default()
    };
    coverage.encode_to_vec()
}

/// Asserts that just these events are there, each once, and those of one member in the order of their numbers.
pub(super) fn assert_once_in_order(events: &[Arc<RecordedEvent>], expected: impl IntoIterator<Item = usize>) {
    let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for event in events {
        let (member, subject) = (event.header.routing_key.clone().unwrap().id, event.subject().id);
        let number = subject.strip_prefix("c-").unwrap().parse().unwrap();
        assert_eq!(member, format!("m-{}", number % 7));
        found.entry(member).or_default().push(number);
    }
    let mut wanted: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    expected.into_iter().for_each(|n| wanted.entry(format!("m-{}", n % 7)).or_default().push(n));
    assert_eq!(found, wanted);
}
