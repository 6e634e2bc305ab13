//! Several nodes on one database.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use sluice_adapters::postgres::PostgresStore;
use sluice_domain::store::{AppendError, Appended, EventStore};
use sluice_schema::position::Seq;
use sluice_subscriptions::log::EventLog;
use sqlx::PgConnection;
use tokio::{task::JoinSet, time::timeout};

use super::database::{Database, append, append_of};

const PATIENCE: Duration = Duration::from_secs(60);

/// Reads what the heads promise, as they promise it, until `count` events were read; gives their ids.
async fn tail(store: Arc<PostgresStore>, count: usize) -> BTreeSet<String> {
    let mut heads = EventLog::heads(store.as_ref());
    let mut at = vec![0; usize::from(store.partitions())];
    let mut ids = BTreeSet::new();
    while ids.len() < count {
        let promised = heads.borrow_and_update().clone();
        for (partition, head) in promised.partitions() {
            let after = &mut at[usize::from(partition)];
            // What is in memory may end before what another node has written: a read may answer with fewer than there are.
            while *after < head {
                let events = store.read(partition, *after, usize::MAX).await.unwrap();
                assert!(!events.is_empty(), "partition {partition} promised {head}, and {after} could be read");
                let seqs: Vec<Seq> = events.iter().map(|event| event.position.seq).collect();
                assert_eq!(seqs, (*after + 1..=*after + seqs.len() as Seq).collect::<Vec<_>>());
                *after += seqs.len() as Seq;
                ids.extend(events.iter().map(|event| event.header.event_id.clone()));
            }
        }
        if ids.len() < count {
            heads.changed().await.unwrap();
        }
    }
    ids
}

/// Until so many sessions wait for a lock.
async fn waiting(db: &mut PgConnection, sessions: i64) {
    let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(query).fetch_one(&mut *db).await.unwrap() < sessions {
        tokio::task::yield_now().await;
    }
}

/// The writers' share: 20 events of a stream of its own, every second of them asked for on both nodes at once.
async fn write_stream(nodes: [Arc<PostgresStore>; 2], writer: usize) {
    for version in 0..20 {
        let mut request = append_of(&format!("w-{writer}"));
        request.expected_version = version;
        request.events[0].header.event_id = format!("w-{writer}-{version}");
        request.idempotency.as_mut().unwrap().key = format!("w-{writer}-{version}");
        let first = nodes[writer % 2].append(request.clone());
        if version % 2 == 0 {
            first.await.unwrap();
            continue;
        }
        let (one, other) = tokio::join!(first, nodes[(writer + 1) % 2].append(request.clone()));
        let fresh = [one, other].into_iter().filter(|outcome| matches!(outcome, Ok(Appended::Fresh { .. }))).count();
        assert_eq!(fresh, 1, "written once, and the other node is told so");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_behind_a_slow_transaction_lose_and_skip_nothing() {
    let database = Database::migrated().await;
    let nodes = [Arc::new(database.store().await), Arc::new(database.store().await)];
    let tails: Vec<_> = nodes.iter().map(|node| tokio::spawn(tail(node.clone(), 64 * 20))).collect();
    let mut slow = database.raw().await;
    sqlx::raw_sql("BEGIN; SELECT * FROM sluice.heads WHERE partition = 1 FOR UPDATE").execute(&mut slow).await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..64 {
        writers.spawn(write_stream(nodes.clone(), writer));
    }
    waiting(&mut database.raw().await, 2).await;
    sqlx::raw_sql("COMMIT").execute(&mut slow).await.unwrap();
    writers.join_all().await;
    let expected: BTreeSet<_> = (0..64).flat_map(|w| (0..20).map(move |v| format!("w-{w}-{v}"))).collect();
    for tail in tails {
        assert_eq!(timeout(PATIENCE, tail).await.unwrap().unwrap(), expected);
    }
    assert_eq!(nodes[0].acknowledged().await.unwrap().0.iter().sum::<u64>(), 64 * 20);
    let mut by_stream: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let rows: Vec<(String, i64)> = sqlx::query_as("SELECT stream, version FROM sluice.events ORDER BY partition, seq")
        .fetch_all(&mut slow)
        .await
        .unwrap();
    rows.into_iter().for_each(|(stream, version)| by_stream.entry(stream).or_default().push(version));
    assert!(by_stream.values().all(|versions| *versions == (1..=20).collect::<Vec<_>>()), "in order in the log too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_follows_what_another_appends() {
    let database = Database::migrated().await;
    let (one, other) = (database.store().await, database.store().await);
    let mut heads = EventLog::heads(&other);
    for i in 0..20 {
        let place = append(&one, &format!("c-{i}")).await;
        let there = heads.wait_for(|heads| heads.get(place.partition) >= place.seq);
        drop(timeout(PATIENCE, there).await.unwrap().unwrap());
        let events = other.read(place.partition, place.seq - 1, 1).await.unwrap();
        assert_eq!(events[0].header.event_id, format!("c-{i}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_from_two_nodes_in_two_partitions_writes_once() {
    let database = Database::migrated().await;
    let nodes = [database.store().await, database.store().await];
    for round in 0..50 {
        let request = |node: usize| {
            let mut request = append_of(&format!("c-{round}-{node}"));
            request.idempotency.as_mut().unwrap().key = format!("k-{round}");
            request
        };
        let (one, other) = tokio::join!(nodes[0].append(request(0)), nodes[1].append(request(1)));
        let (one, other) = (one.unwrap(), other.unwrap());
        let (fresh, heads) = match (&one, &other) {
            (Appended::Fresh { positions, .. }, Appended::Repeated { heads, .. })
            | (Appended::Repeated { heads, .. }, Appended::Fresh { positions, .. }) => (positions[0], heads),
            both => panic!("{both:?}"),
        };
        assert!(heads.get(fresh.partition) >= fresh.seq, "the first one's events are covered");
    }
    assert_eq!(nodes[0].acknowledged().await.unwrap().0.iter().sum::<u64>(), 50);
}

#[tokio::test]
async fn one_bad_append_of_a_group_fails_alone() {
    let database = Database::migrated().await;
    let store = database.store().await;
    let mut bad = append_of("bad");
    bad.idempotency.as_mut().unwrap().key = "no text of PostgreSQL: \0".into();
    let outcomes = store.append_many(vec![append_of("c-1"), bad, append_of("c-2")]).await;
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
    let Err(AppendError::Unavailable(why)) = &outcomes[1] else { panic!("{outcomes:?}") };
    assert!(!why.contains("no text"), "{why}");
    assert_eq!(EventStore::heads(&store).0.iter().sum::<u64>(), 2);
}

#[tokio::test]
async fn the_epoch_is_renewed_by_one_node() {
    let database = Database::migrated().await;
    let (one, other) = (database.store().await, database.store().await);
    assert_eq!((one.epoch(), one.topic_key()), (other.epoch(), other.topic_key()));
    assert!(one.renew_epoch().await.unwrap());
    let renewed = one.stored_epoch().await.unwrap();
    assert_ne!(renewed, one.epoch());
    assert!(!other.renew_epoch().await.unwrap(), "the second finds it done");
    assert_eq!((other.stored_epoch().await.unwrap(), database.store().await.epoch()), (renewed, renewed));
}
