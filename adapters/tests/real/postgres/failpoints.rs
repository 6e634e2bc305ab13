//! A node that is held, cut off or killed right before and right after a commit.

use sluice_adapters::postgres::{PostgresAudit, PostgresAuditReader};
use sluice_domain::store::{Appended, EventStore};
use sluice_subscriptions::{
    audit::{AuditTrail, Verified, contract::records},
    log::EventLog,
};
use sqlx::PgConnection;
use tokio::time::timeout;

use super::{
    child::{Child, PATIENCE},
    database::{Database, append_of},
};

const BEFORE: &str = "store.before-commit";
const AFTER: &str = "store.after-commit";

/// A child whose append number `passes` is held at the failpoint, those before it acknowledged.
async fn held(database: &Database, failpoint: &str, passes: usize) -> Child {
    let mut child = Child::start(database, &format!("{failpoint}={passes}*off->pause")).await;
    for number in 0..passes {
        child.order(&format!("append c-{number}")).await;
        assert_eq!(child.says().await, format!("c-{number}: fresh"));
    }
    child.order(&format!("append c-{passes}")).await;
    child
}

async fn count(db: &mut PgConnection, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(db).await.unwrap()
}

const EVENTS: &str = "SELECT count(*) FROM sluice.events";

/// Sessions in a transaction that wrote: the one that is held before its commit.
const HELD: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND state = 'idle in transaction' AND query LIKE '%INSERT INTO sluice.events%'";

const END_OTHERS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                          WHERE datname = current_database() AND pid <> pg_backend_pid()";

async fn until(db: &mut PgConnection, query: &'static str, expected: i64) {
    let reached = async {
        while count(db, query).await != expected {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, reached).await.unwrap();
}

/// What another node finds when it asks again for each of the first appends: whether it was there.
async fn retry(database: &Database, appends: usize) -> Vec<bool> {
    let store = database.store().await;
    let mut there = Vec::new();
    for number in 0..appends {
        let again = store.append(append_of(&format!("c-{number}"))).await.unwrap();
        there.push(matches!(again, Appended::Repeated { .. }));
    }
    assert_eq!(store.acknowledged().await.unwrap().0.iter().sum::<u64>() as usize, appends, "each once");
    assert_eq!(count(&mut database.raw().await, EVENTS).await, appends as i64, "each once");
    there
}

#[tokio::test]
async fn killed_before_the_commit_nothing_of_it_is_there() {
    for passes in [0, 1, 5] {
        let database = Database::migrated().await;
        let child = held(&database, BEFORE, passes).await;
        let mut db = database.raw().await;
        until(&mut db, HELD, 1).await;
        assert_eq!(count(&mut db, EVENTS).await, passes as i64, "nobody sees it before its commit");
        assert_eq!(child.kill().await, [""; 0]);
        assert_eq!(retry(&database, passes + 1).await, [vec![true; passes], vec![false]].concat());
    }
}

#[tokio::test]
async fn killed_after_the_commit_a_retry_finds_it_done() {
    for passes in [0, 1, 5] {
        let database = Database::migrated().await;
        let child = held(&database, AFTER, passes).await;
        until(&mut database.raw().await, EVENTS, passes as i64 + 1).await;
        assert_eq!(child.kill().await, [""; 0], "it was not acknowledged");
        assert_eq!(retry(&database, passes + 1).await, vec![true; passes + 1]);
    }
}

#[tokio::test]
async fn cut_off_before_the_commit_it_is_not_known_and_the_retry_is_fresh() {
    let database = Database::migrated().await;
    let mut child = held(&database, BEFORE, 1).await;
    let mut db = database.raw().await;
    until(&mut db, HELD, 1).await;
    count(&mut db, END_OTHERS).await;
    until(&mut db, HELD, 0).await;
    child.order(&format!("let go {BEFORE}")).await;
    let said = child.says().await;
    assert!(said.starts_with("c-1: ") && said.ends_with("retry with the same idempotency key"), "{said}");
    assert_eq!(count(&mut db, EVENTS).await, 1);
    child.order("append c-1").await;
    assert_eq!(child.says().await, "c-1: fresh");
    assert_eq!(retry(&database, 2).await, [true, true]);
}

#[tokio::test]
async fn cut_off_after_the_commit_it_is_acknowledged_and_the_next_has_another_connection() {
    let database = Database::migrated().await;
    let mut child = held(&database, AFTER, 1).await;
    let mut db = database.raw().await;
    until(&mut db, EVENTS, 2).await;
    assert!(count(&mut db, END_OTHERS).await > 0);
    child.order(&format!("let go {AFTER}")).await;
    assert_eq!(child.says().await, "c-1: fresh");
    child.order("append c-2").await;
    assert_eq!(child.says().await, "c-2: fresh");
    assert_eq!(retry(&database, 3).await, [true; 3]);
}

/// Dies at the third call; what is there then, and that another boot goes on beside it.
async fn records_after_death_at(failpoint: &str) -> u64 {
    let database = Database::migrated().await;
    let mut child = Child::start(&database, &format!("{failpoint}=2*off->return")).await;
    for call in 0..2 {
        child.order(&format!("record {call}")).await;
        assert_eq!(child.says().await, format!("{call}: recorded"));
    }
    child.order("record 2").await;
    assert_eq!(child.end().await, [""; 0]);
    let reader = PostgresAuditReader::connect(&database.url()).await.unwrap();
    let found = reader.verify().await.unwrap();
    let Verified::Intact { records: there } = found else { panic!("{found:?}") };
    let audit = PostgresAudit::open(&database.connect().await, "child").await.unwrap();
    audit.append(records(3)).await.unwrap();
    assert_eq!(reader.verify().await.unwrap(), Verified::Intact { records: there + 4 });
    there
}

#[tokio::test]
async fn audit_records_are_there_once_whether_it_died_before_or_after_their_commit() {
    assert_eq!(records_after_death_at("audit.before-commit").await, 2 * 4);
    assert_eq!(records_after_death_at("audit.after-commit").await, 3 * 4);
}

#[tokio::test]
async fn a_stalled_trail_stalls_nobody_else() {
    let database = Database::migrated().await;
    let mut child = Child::start(&database, "audit.before-commit=pause").await;
    child.order("record 0").await;
    for number in 0..20 {
        child.order(&format!("append c-{number}")).await;
        assert_eq!(child.says().await, format!("c-{number}: fresh"));
    }
    child.order("let go audit.before-commit").await;
    assert_eq!(child.says().await, "0: recorded");
}
