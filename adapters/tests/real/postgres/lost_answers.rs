//! Connections that end around a commit: it is found out whether it happened.

use std::time::Duration;

use sluice_adapters::postgres::{PostgresAudit, PostgresStore, StoreOptions};
use sluice_domain::store::{AppendError, Appended, EventStore};
use sluice_subscriptions::{
    audit::{AuditTrail, Verified, contract::records},
    log::EventLog,
};

use super::{
    database::{Database, append, append_of},
    proxy::{Cut, Proxy},
};

const DEADLINE: Duration = Duration::from_secs(20);
const COMMIT: &str = "COMMIT";
const AUDIT_INSERT: &str = "WITH records AS";

async fn open(database: &Database) -> (Proxy, PostgresStore) {
    let proxy = Proxy::to(database).await;
    let store = PostgresStore::open(&proxy.connect(DEADLINE).await, StoreOptions::default()).await.unwrap();
    (proxy, store)
}

fn assert_not_known(outcome: &Result<Appended, AppendError>) {
    let Err(AppendError::Unavailable(why)) = outcome else { panic!("{outcome:?}") };
    let advice = "it is not known whether it was written: retry with the same idempotency key";
    assert!(why.ends_with(advice), "{why}");
}

/// Of each check of these ids one event, and no other.
async fn assert_each_once(database: &Database, ids: &[String]) {
    let query = "SELECT stream FROM sluice.events ORDER BY stream";
    let streams: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut database.raw().await).await.unwrap();
    let mut expected: Vec<_> = ids.iter().map(|id| append_of(id).stream.as_str().to_owned()).collect();
    expected.sort();
    assert_eq!(streams, expected);
    let heads = database.store().await.acknowledged().await.unwrap();
    assert_eq!(heads.0.iter().sum::<u64>() as usize, ids.len());
}

#[tokio::test]
async fn where_commit_is_not_answered_a_retry_finds_out() {
    let database = Database::migrated().await;
    let (proxy, store) = open(&database).await;
    append(&store, "c-0").await;
    let mut ids = vec!["c-0".to_owned()];
    for round in 0..5 {
        for cut in [Cut::Before, Cut::Behind, Cut::Answer] {
            let id = format!("c-{round}-{cut:?}");
            proxy.cut(COMMIT, cut);
            assert_not_known(&store.append(append_of(&id)).await);
            assert!(proxy.has_cut());
            let again = store.append(append_of(&id)).await.unwrap();
            match cut {
                Cut::Before => assert!(matches!(again, Appended::Fresh { .. }), "{again:?}"),
                Cut::Behind => {}
                Cut::Answer => {
                    assert!(matches!(&again, Appended::Repeated { result, .. } if *result == id), "{again:?}")
                }
            }
            ids.push(id);
        }
    }
    assert_each_once(&database, &ids).await;
}

/// All callers of a group hear the same, and each finds out by itself.
#[tokio::test]
async fn a_group_that_is_not_answered_is_found_whole() {
    let database = Database::migrated().await;
    let (proxy, store) = open(&database).await;
    append(&store, "c-0").await;
    let ids: Vec<_> = (1..=40).map(|check| format!("c-{check}")).collect();
    let appends: Vec<_> = ids.iter().map(|id| append_of(id)).collect();
    proxy.cut(COMMIT, Cut::Answer);
    let outcomes = store.append_many(appends.clone()).await;
    assert!(proxy.has_cut());
    // The first group may be smaller than what was handed in, and what follows it has an answer.
    let lost =
        outcomes.iter().take_while(|outcome| outcome.is_err()).inspect(|outcome| assert_not_known(outcome)).count();
    assert!(lost > 0);
    for (number, again) in store.append_many(appends).await.into_iter().enumerate() {
        assert!(matches!(again, Ok(Appended::Repeated { .. })), "{number}: {again:?}");
    }
    assert_each_once(&database, &[ids, vec!["c-0".to_owned()]].concat()).await;
}

/// Before COMMIT nothing can have happened: the group is written over another connection, and nobody notices.
#[tokio::test]
async fn a_connection_that_ends_before_commit_is_replaced() {
    let database = Database::migrated().await;
    let (proxy, store) = open(&database).await;
    append(&store, "c-0").await;
    for (number, cut) in [Cut::Before, Cut::Behind, Cut::Answer].into_iter().enumerate() {
        proxy.cut("WITH event AS", cut);
        append(&store, &format!("c-1-{number}")).await;
        proxy.cut("BEGIN", cut);
        append(&store, &format!("c-2-{number}")).await;
        assert!(proxy.has_cut());
    }
    assert_eq!(store.acknowledged().await.unwrap().0.iter().sum::<u64>(), 7);
}

#[tokio::test]
async fn audit_records_whose_confirmation_is_lost_are_looked_up_and_there_once() {
    let database = Database::migrated().await;
    let proxy = Proxy::to(&database).await;
    let audit = PostgresAudit::open(&proxy.connect(DEADLINE).await, "node-1").await.unwrap();
    audit.append(records(0)).await.unwrap();
    let mut calls = 1;
    for _ in 0..5 {
        for cut in [Cut::Before, Cut::Behind, Cut::Answer] {
            proxy.cut(AUDIT_INSERT, cut);
            audit.append(records(calls)).await.unwrap();
            assert!(proxy.has_cut());
            calls += 1;
            assert_eq!(audit.verify().await.unwrap(), Verified::Intact { records: 4 * calls as u64 }, "{cut:?}");
        }
    }
}

/// Where the look-up fails too, the caller hears that nothing is certain; the chain goes on behind what is there.
#[tokio::test]
async fn audit_records_in_doubt_are_refused_and_the_chain_goes_on() {
    let database = Database::migrated().await;
    let proxy = Proxy::to(&database).await;
    let audit = PostgresAudit::open(&proxy.connect(DEADLINE).await, "node-1").await.unwrap();
    audit.append(records(0)).await.unwrap();
    for (number, cut, there) in [(10, Cut::Before, 0), (20, Cut::Answer, 4)] {
        let before = audit.verify().await.unwrap();
        let Verified::Intact { records: before } = before else { panic!("{before:?}") };
        proxy.cut(AUDIT_INSERT, cut);
        proxy.cut("SELECT number, hash", Cut::Answer);
        audit.append(records(number)).await.unwrap_err();
        assert!(proxy.has_cut());
        audit.append(records(number + 1)).await.unwrap();
        assert_eq!(audit.verify().await.unwrap(), Verified::Intact { records: before + there + 4 }, "{cut:?}");
    }
}
