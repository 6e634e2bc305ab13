use std::sync::Arc;

use sluice_subscriptions::audit::{
    AuditTrail, Verified,
    contract::{administered, audience, delivery, records, tried},
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

use super::{SCHEMA, SqliteAudit};
use crate::{
    audit_chain::Link,
    sqlite::{
        OpenError, database,
        test_support::{Home, cut, wal_of},
    },
};

mod audiences;
mod heads;
mod indexes;

mod contract {
    use super::*;

    async fn empty() -> (Arc<dyn AuditTrail>, Home) {
        let home = Home::new();
        (Arc::new(open(&home).await), home)
    }

    sluice_subscriptions::audit_contract!(empty);
}

async fn open(home: &Home) -> SqliteAudit {
    SqliteAudit::open(&home.data, "node-1").await.unwrap()
}

/// A trail of two boots with eight records each, closed; and a connection that tampers with it.
async fn trail() -> (Home, SqliteConnection) {
    let home = Home::new();
    for _ in 0..2 {
        let audit = open(&home).await;
        audit.append(records(1)).await.unwrap();
        audit.append(records(2)).await.unwrap();
        audit.close().await;
    }
    let mut db = database::options(&home.data.file(SCHEMA.file)).connect().await.unwrap();
    // Whoever can write to the file can drop a trigger too.
    for trigger in ["DROP TRIGGER records_are_never_updated", "DROP TRIGGER records_are_never_deleted"] {
        sqlx::raw_sql(trigger).execute(&mut db).await.unwrap();
    }
    (home, db)
}

async fn verify(home: &Home) -> Verified {
    let reader = SqliteAudit::open_read_only(home.data.file(SCHEMA.file)).await.unwrap();
    let verified = reader.verify().await.unwrap();
    reader.close().await;
    verified
}

/// Tampers, and gives what is found.
async fn after(tampering: &'static str) -> Verified {
    let (home, mut db) = trail().await;
    assert_eq!(verify(&home).await, Verified::Intact { records: 16 });
    assert!(sqlx::query(tampering).execute(&mut db).await.unwrap().rows_affected() > 0);
    db.close().await.unwrap();
    verify(&home).await
}

fn assert_broken(found: Verified, at: u64, because: &str) {
    match found {
        Verified::Broken { number, why, writer } => {
            assert_eq!(number, at, "{why}");
            assert!(why.to_string().contains(because), "{why}");
            assert!(writer.starts_with("node-1."), "{writer}");
        }
        Verified::Intact { .. } => panic!("not found"),
    }
}

#[tokio::test]
async fn an_altered_record_is_found() {
    let found = after("UPDATE records SET body = replace(body, 'm-1', 'm-9') WHERE number = 2").await;
    assert_broken(found, 2, "altered");
    let no_text = "UPDATE records SET body = replace(body, 'acme', CAST(x'ff' AS TEXT)) WHERE number = 3";
    assert_broken(after(no_text).await, 3, "altered");
}

#[tokio::test]
async fn an_altered_record_with_a_new_hash_is_found_by_the_next_one() {
    let (home, mut db) = trail().await;
    let (prev_hash, body): (Vec<u8>, String) =
        sqlx::query_as("SELECT prev_hash, body FROM records WHERE number = 3 ORDER BY writer LIMIT 1")
            .fetch_one(&mut db)
            .await
            .unwrap();
    let body = body.replace("/members/", "/nobody/");
    let Link { hash, .. } = Link { number: 2, hash: prev_hash.try_into().unwrap() }.next(body.as_bytes());
    sqlx::query(
        "UPDATE records SET body = ?1, hash = ?2 WHERE number = 3 AND writer = (SELECT min(writer) FROM records)",
    )
    .bind(body)
    .bind(hash.as_slice())
    .execute(&mut db)
    .await
    .unwrap();
    db.close().await.unwrap();
    assert_broken(verify(&home).await, 4, "does not follow");
}

#[tokio::test]
async fn a_removed_record_is_found() {
    assert_broken(after("DELETE FROM records WHERE number = 5").await, 5, "missing; the next one is 6");
    assert_broken(after("DELETE FROM records WHERE number = 1").await, 1, "missing");
}

#[tokio::test]
async fn a_removed_record_whose_followers_moved_up_is_found() {
    let (home, mut db) = trail().await;
    sqlx::raw_sql(
        "DELETE FROM records WHERE number = 5;
         UPDATE records SET number = -number WHERE number > 5;
         UPDATE records SET number = -number - 1 WHERE number < 0",
    )
    .execute(&mut db)
    .await
    .unwrap();
    db.close().await.unwrap();
    assert_broken(verify(&home).await, 5, "does not follow");
}

#[tokio::test]
async fn records_that_changed_places_are_found() {
    let (home, mut db) = trail().await;
    sqlx::raw_sql(
        "UPDATE records SET number = 100 WHERE number = 3;
         UPDATE records SET number = 3 WHERE number = 4;
         UPDATE records SET number = 4 WHERE number = 100",
    )
    .execute(&mut db)
    .await
    .unwrap();
    db.close().await.unwrap();
    assert_broken(verify(&home).await, 3, "does not follow");
}

/// Whatever no writer writes is read as well: a name that is none, and numbers below the first.
#[tokio::test]
async fn a_record_before_the_first_is_found() {
    for number in ["0", "-1", "-9223372036854775808"] {
        let (home, mut db) = trail().await;
        let put_in = format!(
            "INSERT INTO records (writer, number, prev_hash, hash, body)
             SELECT writer, {number}, prev_hash, hash, body FROM records ORDER BY writer DESC LIMIT 1"
        );
        sqlx::query(AssertSqlSafe(put_in)).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
        assert_broken(verify(&home).await, 1, &format!("before it stands one with the number {number}"));
    }
}

#[tokio::test]
async fn records_of_a_writer_without_a_name_are_read() {
    for number in [-1, 0, 1] {
        let (home, mut db) = trail().await;
        let query = "INSERT INTO records (writer, number, prev_hash, hash, body) VALUES ('', ?1, x'00', x'00', '{}')";
        sqlx::query(query).bind(number).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
        let Verified::Broken { writer, number: at, .. } = verify(&home).await else { panic!("not found: {number}") };
        assert_eq!((writer.as_str(), at), ("", 1));
    }
}

#[tokio::test]
async fn a_chain_under_another_name_is_found() {
    let found =
        after("UPDATE records SET writer = 'node-1.other' WHERE writer = (SELECT min(writer) FROM records)").await;
    assert_broken(found, 1, "does not follow");
}

#[tokio::test]
async fn records_are_neither_updated_nor_deleted() {
    let home = Home::new();
    let audit = open(&home).await;
    audit.append(records(1)).await.unwrap();
    let mut db = database::options(&home.data.file(SCHEMA.file)).connect().await.unwrap();
    let attempts = [
        "UPDATE records SET body = '{}'",
        "DELETE FROM records",
        "UPDATE segment_recipients SET user = 'u-9'",
        "DELETE FROM segment_recipients",
        "UPDATE segment_patients SET patient = 'm-9'",
        "DELETE FROM segment_patients",
    ];
    for attempt in attempts {
        assert_refused(&mut db, attempt).await;
    }
}

async fn assert_refused(db: &mut SqliteConnection, attempt: &str) {
    let error = sqlx::query(AssertSqlSafe(attempt)).execute(db).await.expect_err(attempt).to_string();
    assert!(error.contains("the audit trail is append-only"), "{attempt}: {error}");
}

/// To replace a row is to delete the one that is there, by its key or by its rowid, and no trigger on DELETE fires for that.
#[tokio::test]
async fn nothing_that_is_kept_is_replaced() {
    let home = Home::new();
    let audit = open(&home).await;
    audit.append(records(1)).await.unwrap();
    audit.append(vec![delivery(2, &audience(1..=10))]).await.unwrap();
    let mut db = database::options(&home.data.file(SCHEMA.file)).connect().await.unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut db).await.unwrap();
    assert_eq!(tables.len(), 9, "{tables:?}");
    for table in tables.iter().filter(|table| !table.starts_with("early_")) {
        let columns = "SELECT group_concat(name) FROM pragma_table_info(?1)";
        let columns: String = sqlx::query_scalar(columns).bind(table).fetch_one(&mut db).await.unwrap();
        let rows = format!("({columns}) SELECT {columns} FROM {table} WHERE true");
        assert_refused(&mut db, &format!("INSERT OR REPLACE INTO {table} {rows}")).await;
        assert_refused(&mut db, &format!("REPLACE INTO {table} {rows}")).await;
        let first = columns.split(',').next().unwrap();
        let upsert = format!("INSERT INTO {table} {rows} ON CONFLICT DO UPDATE SET {first} = {first}");
        assert_refused(&mut db, &upsert).await;
    }
    for attempt in [
        "REPLACE INTO records (rowid, writer, number, prev_hash, hash, body) SELECT 1, 'other', 1, hash, hash, body FROM records LIMIT 1",
        "REPLACE INTO audiences (rowid, digest, body) VALUES (1, x'00', '[]')",
        "REPLACE INTO segments (id, writer, first) VALUES (1, 'other', 1)",
        "REPLACE INTO segments (id, writer, first) SELECT 9, writer, first FROM segments",
        "INSERT INTO early_recipients VALUES ('acme', 'u-1', 'node-1', 1)",
        "INSERT INTO early_patients VALUES ('acme', 'm-1', 'node-1', 1)",
    ] {
        assert_refused(&mut db, attempt).await;
    }
    assert_eq!(audit.verify().await.unwrap(), Verified::Intact { records: 5 });
}

#[tokio::test]
async fn who_saw_what_of_whom_can_be_looked_up() {
    let home = Home::new();
    let audit = open(&home).await;
    audit.append(records(1)).await.unwrap();
    let mut db = database::options(&home.data.file(SCHEMA.file)).connect().await.unwrap();
    let numbers = "SELECT number FROM audit_received WHERE tenant = 'acme' AND user = 'u-1' ORDER BY number";
    assert_eq!(sqlx::query_scalar::<_, i64>(numbers).fetch_all(&mut db).await.unwrap(), [1, 2, 3]);
    let numbers = "SELECT number FROM audit_patients WHERE tenant = 'acme' AND patient = 'm-1' ORDER BY number";
    assert_eq!(sqlx::query_scalar::<_, i64>(numbers).fetch_all(&mut db).await.unwrap(), [1, 2]);
    let of: (i64, String) = sqlx::query_as("SELECT at, tenant FROM records").fetch_one(&mut db).await.unwrap();
    assert_eq!(of, (1_790_000_000_001, "acme".into()));
}

#[tokio::test]
async fn who_tried_to_see_whom_and_for_whom_she_acted_can_be_looked_up() {
    let home = Home::new();
    let audit = open(&home).await;
    audit.append(tried(7)).await.unwrap();
    let mut db = database::options(&home.data.file(SCHEMA.file)).connect().await.unwrap();
    let denied = "SELECT body ->> '$.recipient.user', body ->> '$.recipient.actor'
                  FROM audit_patients JOIN records USING (writer, number)
                  WHERE audit_patients.tenant = 'acme' AND patient = 'm-7' AND body ->> 'action' = 'deny'";
    let denied: Vec<(String, String)> = sqlx::query_as(denied).fetch_all(&mut db).await.unwrap();
    assert_eq!(denied, [("u-2".into(), "u-agent".into())]);
    let numbers = "SELECT number FROM audit_patients WHERE tenant = 'acme' AND patient = 'm-7' ORDER BY number";
    assert_eq!(sqlx::query_scalar::<_, i64>(numbers).fetch_all(&mut db).await.unwrap(), [1, 2, 3]);
    for user in ["u-2", "u-agent"] {
        let numbers = "SELECT number FROM audit_received WHERE tenant = 'acme' AND user = ?1";
        let found: Vec<i64> = sqlx::query_scalar(numbers).bind(user).fetch_all(&mut db).await.unwrap();
        assert_eq!(found, [1], "{user}");
    }
}

#[tokio::test]
async fn who_changed_what_about_whom_can_be_looked_up() {
    let home = Home::new();
    let audit = open(&home).await;
    audit.append(vec![administered(1, false), administered(2, true)]).await.unwrap();
    let mut db = database::options(&home.data.file(SCHEMA.file)).connect().await.unwrap();
    let numbers = "SELECT number FROM audit_received WHERE tenant = 'acme' AND user = 'u-1' ORDER BY number";
    assert_eq!(sqlx::query_scalar::<_, i64>(numbers).fetch_all(&mut db).await.unwrap(), [1, 2]);
    let numbers = "SELECT number FROM audit_patients WHERE tenant = 'acme' AND patient = 'm-2' ORDER BY number";
    assert_eq!(sqlx::query_scalar::<_, i64>(numbers).fetch_all(&mut db).await.unwrap(), [2]);
    let body: String =
        sqlx::query_scalar("SELECT body FROM records WHERE number = 2").fetch_one(&mut db).await.unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let told = [&body["action"], &body["operation"], &body["actor"]["user"], &body["subject"], &body["patient"]];
    assert_eq!(told, ["administer", "revoke_tokens", "u-1", "user:u-2", "m-2"]);
}

#[tokio::test]
async fn a_running_trail_is_verified_from_outside() {
    let home = Home::new();
    let audit = open(&home).await;
    audit.append(records(1)).await.unwrap();
    assert_eq!(verify(&home).await, Verified::Intact { records: 4 });
    audit.append(records(2)).await.unwrap();
    assert_eq!(verify(&home).await, Verified::Intact { records: 8 });
}

#[tokio::test]
async fn what_a_crash_left_is_verified_as_it_lies() {
    let home = Home::new();
    let audit = open(&home).await;
    audit.append(records(1)).await.unwrap();
    let before = home.data.file(&wal_of(SCHEMA.file)).metadata().unwrap().len();
    audit.append(records(2)).await.unwrap();
    let left = home.after_crash(SCHEMA.file);
    assert_eq!(verify(&left).await, Verified::Intact { records: 8 });
    let torn = home.after_crash(SCHEMA.file);
    cut(&torn.data.file(&wal_of(SCHEMA.file)), before + 100);
    assert_eq!(verify(&torn).await, Verified::Intact { records: 4 });
}

#[tokio::test]
async fn a_full_disk_refuses_and_the_chain_goes_on_after_it() {
    let home = Home::new();
    let audit = open(&home).await;
    audit.append(records(1)).await.unwrap();
    audit.writer.execute("PRAGMA max_page_count = 1").await;
    let mut refused = 0;
    let mut kept = 1;
    for number in 2..30 {
        match audit.append(records(number)).await {
            Ok(()) => kept += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0);
    audit.writer.execute("PRAGMA max_page_count = 1000000").await;
    audit.append(records(99)).await.unwrap();
    assert_eq!(audit.verify().await.unwrap(), Verified::Intact { records: 4 * (kept + 1) });
}

#[tokio::test]
async fn where_one_of_a_group_fails_the_others_are_one_chain() {
    let home = Home::new();
    let audit = open(&home).await;
    audit.append(records(1)).await.unwrap();
    audit.writer.execute("PRAGMA max_page_count = 1").await;
    let small = || records(2).split_off(3);
    let large = (0..500).flat_map(records).collect();
    // On one thread all three are queued before the writer runs.
    let (first, second, third) = tokio::join!(audit.append(small()), audit.append(large), audit.append(small()));
    assert!(first.is_ok() && second.is_err() && third.is_ok(), "{first:?} {second:?} {third:?}");
    assert_eq!(audit.verify().await.unwrap(), Verified::Intact { records: 6 });
}

#[tokio::test]
async fn progress_is_told_and_every_page_is_read() {
    let home = Home::new();
    let audit = open(&home).await;
    for _ in 0..6 {
        audit.append((0..60).flat_map(records).collect()).await.unwrap();
    }
    let mut told = Vec::new();
    let verified = audit.reader().verify_with(|records| told.push(records)).await.unwrap();
    assert_eq!(verified, Verified::Intact { records: 1440 });
    assert_eq!(told, [1000, 1440]);
}

#[tokio::test]
async fn no_file_is_not_an_empty_trail() {
    let home = Home::new();
    let error = SqliteAudit::open_read_only(home.data.file("audit.db")).await.unwrap_err();
    assert!(matches!(error, OpenError::Database { .. }), "{error}");
    assert!(!home.data.file("audit.db").exists());
}
