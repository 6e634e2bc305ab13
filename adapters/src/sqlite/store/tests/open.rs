use sluice_domain::store::{AppendError, EventStore};
use sluice_schema::position::ReadVector;
use sluice_subscriptions::log::EventLog;
use sqlx::{ConnectOptions, Connection};

use super::{SCHEMA_FILE, SqliteStore, StoreOptions, append, append_of, ids, open};
use crate::sqlite::{OpenError, database, test_support::Home};

#[tokio::test]
async fn a_file_keeps_its_epoch_heads_and_partitions() {
    let home = Home::new();
    let first = open(&home).await;
    let (epoch, position) = (first.epoch(), append(&first, "c-1").await);
    assert_eq!(first.partitions(), 4);
    first.close().await;
    let other_options = StoreOptions { partitions: 8, ..StoreOptions::default() };
    let again = SqliteStore::open(&home.data, other_options).await.unwrap();
    assert_eq!((again.epoch(), again.partitions()), (epoch, 4));
    assert_eq!(EventStore::heads(&again).get(position.partition), 1);
    assert_eq!(ids(&again, position.partition).await, ["c-1"]);
    let other_home = Home::new();
    let fresh = open(&other_home).await;
    assert_ne!(fresh.epoch(), epoch);
    assert_eq!(EventStore::heads(&fresh), ReadVector::start(4));
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let home = Home::new();
    open(&home).await.close().await;
    let path = home.data.file(SCHEMA_FILE);
    let mut db = database::options(&path).connect().await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 7").execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    let error = SqliteStore::open(&home.data, StoreOptions::default()).await.err().unwrap();
    let expected = format!(
        "the data directory {} was written by a newer Sluice (sluice.db has schema 7, this one knows 1): run that version, \
         or give this one another directory",
        home.data.path().display()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn what_is_no_database_says_so() {
    let home = Home::new();
    std::fs::write(home.data.file(SCHEMA_FILE), [7; 5000]).unwrap();
    let error = SqliteStore::open(&home.data, StoreOptions::default()).await.err().unwrap();
    assert!(matches!(error, OpenError::Database { .. }));
    assert!(error.to_string().contains("file is not a database"), "{error}");
}

#[tokio::test]
async fn an_append_that_breaks_the_rules_is_refused() {
    let home = Home::new();
    let store = open(&home).await;
    let mut empty = append_of("c-1");
    empty.events.clear();
    let mut of_another_tenant = append_of("c-1");
    of_another_tenant.tenant = "birch".parse().unwrap();
    let mut of_two_keys = append_of("c-1");
    of_two_keys.events.extend(append_of("c-2").events);
    for append in [empty, of_another_tenant, of_two_keys] {
        assert!(matches!(store.append(append).await, Err(AppendError::Unavailable(_))));
    }
    assert_eq!(EventStore::heads(&store), ReadVector::start(4));
}
