use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sluice_domain::store::EventStore;
use sluice_schema::event::StreamId;
use sluice_subscriptions::log::{EventLog, LogError};

use super::{SqliteStore, StoreOptions, append, open};
use crate::sqlite::test_support::Home;

const HOUR: Duration = Duration::from_secs(3600);

/// Moves the publication of every event so far into the past.
async fn age(store: &SqliteStore) {
    store.writer.execute("UPDATE events SET published_at = published_at - 7200000").await;
}

#[tokio::test]
async fn just_what_is_older_is_no_longer_read() {
    let home = Home::new();
    let store = open(&home).await;
    for i in 0..40 {
        append(&store, &format!("old-{i}")).await;
    }
    age(&store).await;
    let old = EventStore::heads(&store);
    for i in 0..40 {
        append(&store, &format!("new-{i}")).await;
    }
    let now = Timestamp::now();
    store.apply_retention(HOUR * 3, now).await.unwrap();
    assert_eq!(store.earliest().await.unwrap().0, [0; 4]);
    store.apply_retention(HOUR, now).await.unwrap();
    assert_eq!(store.earliest().await.unwrap(), old);
    store.apply_retention(HOUR, now - SignedDuration::from_hours(9)).await.unwrap();
    assert_eq!(store.earliest().await.unwrap(), old, "a clock that goes back brings nothing back");
    for (partition, earliest) in old.partitions() {
        let gap = store.read(partition, 0, 9).await;
        assert!(earliest == 0 || matches!(gap, Err(LogError::Gap { earliest: told, .. }) if told == earliest));
        let events = store.read(partition, earliest, 99).await.unwrap();
        assert!(events.iter().all(|event| event.header.event_id.starts_with("new")));
        assert_eq!(events.len() as u64, EventStore::heads(&store).get(partition) - earliest);
    }
    let stream = StreamId::of("Check", "old-0");
    assert_eq!(
        EventStore::load(&store, &"acme".parse().unwrap(), &stream).await.unwrap().len(),
        1,
        "the store keeps all"
    );
}

#[tokio::test]
async fn it_is_looked_at_when_the_file_is_opened() {
    let home = Home::new();
    let store = open(&home).await;
    append(&store, "c-1").await;
    age(&store).await;
    let heads = EventStore::heads(&store);
    store.close().await;
    let options = StoreOptions { retention: Some(HOUR), ..StoreOptions::default() };
    let again = SqliteStore::open(&home.data, options).await.unwrap();
    assert_eq!(again.earliest().await.unwrap(), heads);
}
