mod contract;
mod crash;
mod open;
mod plans;
mod retention;

use std::sync::Arc;

use sluice_domain::store::{Append, Appended, EventStore};
use sluice_schema::{
    event::{NewEvent, StreamId},
    position::{Partition, Position, Seq},
    proto::header::{Header, RoutingKey, Subject, routing_key::Kind},
    sealed::Sealed,
};
use sluice_subscriptions::log::EventLog;

use super::{SCHEMA, SqliteStore, StoreOptions};
use crate::sqlite::test_support::Home;

const SCHEMA_FILE: &str = SCHEMA.file;

async fn open(home: &Home) -> SqliteStore {
    SqliteStore::open(&home.data, StoreOptions::default()).await.unwrap()
}

/// An append of the first event of check `id`, under a routing key of the same id.
fn append_of(id: &str) -> Append {
    let subject = Subject { r#type: "Check".into(), id: id.into() };
    let header = Header {
        event_id: id.into(),
        tenant: "acme".into(),
        subject: Some(subject.clone()),
        routing_key: Some(RoutingKey { kind: Kind::Member.into(), id: id.into() }),
        ..Header::default()
    };
    Append {
        tenant: "acme".parse().unwrap(),
        stream: StreamId::of_subject(&subject),
        expected_version: 0,
        events: vec![NewEvent { header, payload: Sealed(vec![7; 300].into()), holds_state: true }],
        idempotency: None,
    }
}

async fn append(store: &SqliteStore, id: &str) -> Position {
    match store.append(append_of(id)).await {
        Ok(Appended::Fresh { positions, .. }) => positions[0],
        other => panic!("{other:?}"),
    }
}

/// The ids of all events of a partition, which must be dense.
async fn ids(store: &SqliteStore, partition: Partition) -> Vec<String> {
    let events = store.read(partition, 0, usize::MAX).await.unwrap();
    let seqs: Vec<Seq> = events.iter().map(|event| event.position.seq).collect();
    assert_eq!(seqs, (1..=events.len() as Seq).collect::<Vec<_>>(), "partition {partition}");
    events.iter().map(|event| event.header.event_id.clone()).collect()
}

async fn all_ids(store: &SqliteStore) -> Vec<String> {
    let mut all = Vec::new();
    for partition in 0..store.partitions() {
        all.extend(ids(store, partition).await);
    }
    all.sort();
    all
}

fn shared(store: SqliteStore) -> Arc<SqliteStore> {
    Arc::new(store)
}
