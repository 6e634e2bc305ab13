//! What the tests of the contract are told in.

use std::sync::Arc;

use sluice_schema::{
    event::{NewEvent, RecordedEvent, StreamId},
    ids::{TenantId, new_event_id},
    position::{Position, ReadVector},
    proto::header::{Header, RoutingKey, Subject, routing_key::Kind},
    sealed::Sealed,
};

use crate::store::{Append, AppendError, Appended, EventStore, Idempotency, Page};

pub(super) type Store = Arc<dyn EventStore>;

pub(super) fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

pub(super) fn member(id: &str) -> RoutingKey {
    RoutingKey { kind: Kind::Member.into(), id: id.into() }
}

pub(super) fn subject(id: &str) -> Subject {
    Subject { r#type: "Check".into(), id: id.into() }
}

/// An append of tenant acme about check `id` of member `m-1`.
pub(super) fn append(id: &str, expected_version: u64, payloads: &[&str]) -> Append {
    append_as("acme", subject(id), member("m-1"), expected_version, payloads)
}

/// A payload that begins with `=` is a whole state.
pub(super) fn append_as(
    tenant_id: &str,
    subject: Subject,
    key: RoutingKey,
    expected_version: u64,
    payloads: &[&str],
) -> Append {
    let event = |payload: &&str| NewEvent {
        header: Header {
            event_id: new_event_id(),
            tenant: tenant_id.into(),
            r#type: "test.Happened".into(),
            subject: Some(subject.clone()),
            routing_key: Some(key.clone()),
            channel: format!("/checks/{}", subject.id),
            ..Header::default()
        },
        payload: Sealed(payload.to_string().into()),
        holds_state: payload.starts_with('='),
    };
    Append {
        tenant: tenant(tenant_id),
        stream: StreamId::of_subject(&subject),
        expected_version,
        events: payloads.iter().map(event).collect(),
        idempotency: None,
    }
}

pub(super) fn with_key(append: Append, scope: &str, key: &str, input: u8, result: &str) -> Append {
    let (scope, key, result) = (scope.into(), key.into(), result.into());
    Append { idempotency: Some(Idempotency { scope, key, input_hash: [input; 32], result }), ..append }
}

/// The places of an append that was fresh.
pub(super) fn places(result: Result<Appended, AppendError>) -> Vec<Position> {
    match result {
        Ok(Appended::Fresh { positions, heads }) => {
            positions.iter().for_each(|position| assert!(heads.get(position.partition) >= position.seq, "{heads:?}"));
            positions
        }
        other => panic!("{other:?}"),
    }
}

/// What the first request stored.
pub(super) fn repeated(result: Result<Appended, AppendError>) -> (String, ReadVector) {
    match result {
        Ok(Appended::Repeated { result, heads }) => (result, heads),
        other => panic!("{other:?}"),
    }
}

pub(super) fn conflict(result: Result<Appended, AppendError>) -> u64 {
    match result {
        Err(AppendError::Conflict { actual }) => actual,
        other => panic!("{other:?}"),
    }
}

pub(super) fn payload(event: &RecordedEvent) -> &str {
    std::str::from_utf8(&event.payload.0).unwrap()
}

pub(super) fn payloads(events: &[Arc<RecordedEvent>]) -> Vec<&str> {
    events.iter().map(|event| payload(event)).collect()
}

pub(super) async fn load(store: &Store, tenant_id: &str, id: &str) -> Vec<Arc<RecordedEvent>> {
    store.load(&tenant(tenant_id), &StreamId::of_subject(&subject(id))).await.unwrap()
}

/// The ids of a page of checks.
pub(super) async fn list(
    store: &Store,
    tenant_id: &str,
    key: &RoutingKey,
    after: Option<&str>,
    limit: usize,
) -> Vec<String> {
    let page = Page { after: after.map(Into::into), limit };
    let events = store.list(&tenant(tenant_id), "Check", key, &page).await.unwrap();
    events.iter().map(|event| event.subject().id).collect()
}
