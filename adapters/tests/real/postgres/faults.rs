//! What is away, slow or cut off.

use std::{sync::Arc, time::Duration};

use sluice_adapters::postgres::{Postgres, PostgresStore, StoreOptions};
use sluice_domain::store::{AppendError, EventStore};
use sluice_subscriptions::log::EventLog;
use tokio::{task::JoinSet, time::timeout};

use super::database::{Database, append, append_of};

const PATIENCE: Duration = Duration::from_secs(60);

async fn hasty_store(database: &Database) -> PostgresStore {
    let db = Postgres::connect(&database.options(Duration::from_millis(500))).await.unwrap();
    PostgresStore::open(&db, StoreOptions::default()).await.unwrap()
}

#[tokio::test]
async fn a_row_that_stays_locked_is_a_deadline_not_a_hang() {
    let database = Database::migrated().await;
    let store = hasty_store(&database).await;
    let mut slow = database.raw().await;
    sqlx::raw_sql("BEGIN; SELECT * FROM sluice.heads FOR UPDATE").execute(&mut slow).await.unwrap();
    let refused = timeout(PATIENCE, store.append(append_of("c-1"))).await.unwrap();
    let Err(AppendError::Unavailable(why)) = refused else { panic!("{refused:?}") };
    assert!(why.ends_with("nothing was written"), "{why}");
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND state LIKE 'idle in transaction%'";
    let open: i64 = sqlx::query_scalar(open).fetch_one(&mut slow).await.unwrap();
    assert_eq!(open, 0, "no transaction stays open");
    sqlx::raw_sql("ROLLBACK").execute(&mut slow).await.unwrap();
    append(&store, "c-1").await;
}

/// What was acknowledged is there, and what was not is there once it is retried: each exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_lose_and_double_nothing() {
    let database = Database::migrated().await;
    let nodes = [Arc::new(database.store().await), Arc::new(database.store().await)];
    let mut writers = JoinSet::new();
    for writer in 0..16 {
        let store = nodes[writer % 2].clone();
        writers.spawn(async move {
            let mut refused = 0;
            for i in 0..30 {
                while let Err(error) = store.append(append_of(&format!("c-{writer}-{i}"))).await {
                    assert!(matches!(error, AppendError::Unavailable(_)), "{error:?}");
                    refused += 1;
                    tokio::task::yield_now().await;
                }
            }
            refused
        });
    }
    let mut killer = database.raw().await;
    let mut killed = 0;
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'";
    let mut refused = 0;
    while let Some(done) = tokio::select! {
        done = writers.join_next() => done.map(Some),
        count = sqlx::query_scalar::<_, i64>(kill).fetch_one(&mut killer), if killed < 60 => {
            killed += count.unwrap();
            Some(None)
        }
    } {
        refused += done.map_or(0, Result::unwrap);
    }
    assert!(killed > 0 && refused > 0, "{killed} were killed, {refused} refused: nothing was tried");
    assert_eq!(nodes[0].acknowledged().await.unwrap().0.iter().sum::<u64>(), 16 * 30, "each once");
    let counts: (i64, i64) = sqlx::query_as("SELECT count(*), count(DISTINCT stream) FROM sluice.events")
        .fetch_one(&mut killer)
        .await
        .unwrap();
    assert_eq!(counts, (16 * 30, 16 * 30));
}

#[tokio::test]
async fn a_follower_that_was_cut_off_follows_again() {
    let database = Database::migrated().await;
    let (one, other) = (database.store().await, database.store().await);
    let mut killer = database.raw().await;
    for i in 0..3 {
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
        assert!(sqlx::query_scalar::<_, i64>(kill).fetch_one(&mut killer).await.unwrap() > 0);
        let place = append(&one, &format!("c-{i}")).await;
        let mut heads = EventLog::heads(&other);
        let there = heads.wait_for(|heads| heads.get(place.partition) >= place.seq);
        drop(timeout(PATIENCE, there).await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn after_closing_nothing_is_taken() {
    let database = Database::migrated().await;
    let store = database.store().await;
    append(&store, "c-0").await;
    store.close().await;
    assert!(matches!(store.append(append_of("c-1")).await, Err(AppendError::Unavailable(_))));
    assert_eq!(store.acknowledged().await.unwrap().0.iter().sum::<u64>(), 1);
}
