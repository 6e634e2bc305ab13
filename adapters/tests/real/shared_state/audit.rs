use std::sync::Arc;

use sluice_adapters::postgres::{PostgresAudit, PostgresAuditReader};
use sluice_subscriptions::audit::{
    AuditTrail, Verified,
    contract::{audience, delivery, records},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::Database;

mod audiences;
mod heads;
mod indexes;

mod contract {
    use super::*;

    async fn empty() -> (Arc<dyn AuditTrail>, Database) {
        let database = Database::new().await;
        (Arc::new(open(&database, "node-1").await), database)
    }

    sluice_subscriptions::audit_contract!(empty);
}

async fn open(database: &Database, node: &str) -> PostgresAudit {
    PostgresAudit::open(&database.node().await, node).await.unwrap()
}

/// Each with a column of its own.
const TABLES: [(&str, &str); 6] = [
    ("audit_records", "number"),
    ("audit_recipients", "number"),
    ("audit_patients", "number"),
    ("audit_audiences", "body"),
    ("audit_audience_users", "digest"),
    ("audit_audience_records", "number"),
];

#[tokio::test]
async fn nobody_updates_deletes_or_truncates() {
    let database = Database::new().await;
    let audit = open(&database, "node-1").await;
    audit.append(records(1)).await.unwrap();
    audit.append(vec![delivery(2, &audience(1..=10))]).await.unwrap();
    let gateway = database.url.replacen("postgres@", &format!("{}@", database.role), 1);
    for (url, because) in [(&gateway, "permission denied"), (&database.url, "append-only")] {
        let mut db = PgConnection::connect(url).await.unwrap();
        for (table, column) in TABLES {
            for attempt in [
                format!("UPDATE sluice.{table} SET {column} = {column}"),
                format!("DELETE FROM sluice.{table}"),
                format!("TRUNCATE sluice.{table}"),
            ] {
                let refused = sqlx::raw_sql(AssertSqlSafe(attempt.clone())).execute(&mut db).await.unwrap_err();
                assert!(refused.to_string().contains(because), "{attempt}: {refused}");
            }
        }
    }
}

#[tokio::test]
async fn tampering_is_found() {
    for (tampering, at) in [
        ("UPDATE sluice.audit_records SET body = replace(body, 'm-1', 'm-9') WHERE number = 2", 2),
        ("DELETE FROM sluice.audit_records WHERE number = 5", 5),
        ("UPDATE sluice.audit_records SET writer = 'node-1.other'", 1),
        // Whatever no writer writes is read as well: a name that is none, and numbers below the first.
        ("UPDATE sluice.audit_records SET writer = ''", 1),
        ("UPDATE sluice.audit_records SET writer = '', number = number - 9", 1),
        ("UPDATE sluice.audit_records SET number = 0 WHERE number = 8", 1),
        ("UPDATE sluice.audit_records SET number = -9223372036854775808 WHERE number = 8", 1),
    ] {
        let database = Database::new().await;
        let audit = open(&database, "node-1").await;
        audit.append(records(1)).await.unwrap();
        audit.append(records(2)).await.unwrap();
        audit.close().await;
        let reader = PostgresAuditReader::connect(&database.url).await.unwrap();
        assert_eq!(reader.verify().await.unwrap(), Verified::Intact { records: 8 });
        database.execute("ALTER TABLE sluice.audit_records DISABLE TRIGGER append_only").await.unwrap();
        database.execute(tampering).await.unwrap();
        let found = reader.verify().await.unwrap();
        assert!(matches!(found, Verified::Broken { number, .. } if number == at), "{tampering}: {found:?}");
    }
}

/// Two nodes write while their connections are ended again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_connections_end_each_acknowledged_record_is_there_once() {
    let database = Database::new().await;
    let nodes = [open(&database, "node-1").await, open(&database, "node-2").await];
    let mut killer = database.superuser().await;
    let mut acknowledged = 0;
    for number in 0..200 {
        let [one, other] = &nodes;
        let end = async {
            if number % 10 == 5 {
                let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                           WHERE datname = current_database() AND query LIKE '%INSERT INTO sluice.audit_records%'
                             AND pid <> pg_backend_pid()";
                sqlx::query(end).execute(&mut killer).await.unwrap();
            }
        };
        let (first, second, ()) = tokio::join!(one.append(records(number)), other.append(records(number)), end);
        acknowledged += u64::from(first.is_ok()) + u64::from(second.is_ok());
    }
    assert_eq!(acknowledged, 400, "each is tried again behind what is durable");
    assert_eq!(nodes[0].verify().await.unwrap(), Verified::Intact { records: 4 * 400 });
}

/// Another transaction locks the table, as a stalled database would hold up the writer.
#[tokio::test]
async fn a_stall_is_an_error_in_time_and_the_chain_goes_on_after_it() {
    let database = Database::new().await;
    let audit = open(&database, "node-1").await;
    audit.append(records(1)).await.unwrap();
    let mut stalling = database.superuser().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE sluice.audit_patients").execute(&mut stalling).await.unwrap();
    let begun = std::time::Instant::now();
    audit.append(records(2)).await.unwrap_err();
    assert!(begun.elapsed().as_secs() < 8);
    sqlx::raw_sql("ROLLBACK").execute(&mut stalling).await.unwrap();
    audit.append(records(3)).await.unwrap();
    // The server may have gone on with the refused ones once the lock was free: they may be there or not.
    let Verified::Intact { records } = audit.verify().await.unwrap() else { panic!("the chain is broken") };
    assert!([8, 12].contains(&records), "{records}");
    let acknowledged = "SELECT count(*) FROM sluice.audit_records WHERE body LIKE '%e-1\"%' OR body LIKE '%e-3\"%'";
    let found: i64 = sqlx::query_scalar(acknowledged).fetch_one(&mut stalling).await.unwrap();
    assert_eq!(found, 2, "each acknowledged one is there once");
}
