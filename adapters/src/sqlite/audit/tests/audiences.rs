//! Audiences are kept once, and are as hard to alter unnoticed as the records that name them.

use sluice_subscriptions::audit::{
    Damage, Digest,
    contract::{RECEIVED_BY_THE_FIRST, audience, delivery, received},
};
use sqlx::AssertSqlSafe;

use super::*;

async fn count(db: &mut SqliteConnection, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {table}");
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(db).await.unwrap()
}

async fn connect(home: &Home) -> SqliteConnection {
    database::options(&home.data.file(SCHEMA.file)).connect().await.unwrap()
}

#[tokio::test]
async fn an_audience_is_written_once_whoever_writes_it_and_however_often() {
    let home = Home::new();
    for boot in 0..2 {
        let audit = open(&home).await;
        let same = audience(1..=1000);
        audit.append((0..3).map(|number| delivery(number, &same)).collect()).await.unwrap();
        audit.append(vec![delivery(3, &same), delivery(4, &audience((1..=1000).rev()))]).await.unwrap();
        assert_eq!(audit.verify().await.unwrap(), Verified::Intact { records: 5 * (boot + 1) });
        audit.close().await;
    }
    let mut db = connect(&home).await;
    let mut rows = Vec::new();
    for table in ["records", "audiences", "audience_users", "audience_records", "audit_patients", "segment_recipients"]
    {
        rows.push(count(&mut db, table).await);
    }
    assert_eq!(rows, [10, 1, 1000, 10, 10, 0]);
    let large = "SELECT count(*) FROM records WHERE length(body) > 400";
    assert_eq!(sqlx::query_scalar::<_, i64>(large).fetch_one(&mut db).await.unwrap(), 0, "bodies name it");
}

/// What a boot knows is durable costs no more than its row; `INSERT … DO NOTHING` would be seen here.
#[tokio::test]
async fn a_boot_does_not_write_again_what_it_knows_is_durable() {
    let home = Home::new();
    let audit = open(&home).await;
    let same = audience(1..=10);
    audit.append(vec![delivery(1, &same)]).await.unwrap();
    audit.writer.execute("DROP TRIGGER audiences_are_never_deleted; DELETE FROM audiences").await;
    audit.append(vec![delivery(2, &same)]).await.unwrap();
    assert_eq!(count(&mut connect(&home).await, "audiences").await, 0);
}

/// A trail with two audiences: records 1 and 2 have the first, 3 and 4 the second. What is found after tampering with it.
async fn after(tampering: &'static str) -> Verified {
    let home = Home::new();
    let audit = open(&home).await;
    let [first, second] = [audience(1..=10), audience(1..=11)];
    let deliveries = [&first, &first, &second, &second].into_iter().zip(1..).map(|(to, number)| delivery(number, to));
    audit.append(deliveries.collect()).await.unwrap();
    audit.close().await;
    let mut db = connect(&home).await;
    for trigger in ["DROP TRIGGER audiences_are_never_updated", "DROP TRIGGER audiences_are_never_deleted"] {
        sqlx::raw_sql(trigger).execute(&mut db).await.unwrap();
    }
    assert_eq!(verify(&home).await, Verified::Intact { records: 4 });
    assert!(sqlx::raw_sql(tampering).execute(&mut db).await.unwrap().rows_affected() > 0);
    db.close().await.unwrap();
    verify(&home).await
}

fn assert_found(found: Verified, at: u64, damage: Damage) {
    let Verified::Broken { number, why, .. } = found else { panic!("not found") };
    assert_eq!((number, why), (at, damage));
}

fn names() -> [Digest; 2] {
    [audience(1..=10).digest(), audience(1..=11).digest()]
}

#[tokio::test]
async fn an_altered_audience_is_found() {
    let found = after("UPDATE audiences SET body = replace(body, 'u-11', 'u-12')").await;
    assert_found(found, 3, Damage::AudienceAltered(names()[1]));
    let no_text = "UPDATE audiences SET body = replace(body, 'u-7', CAST(x'ff' AS TEXT))";
    assert_found(after(no_text).await, 1, Damage::AudienceAltered(names()[0]));
}

#[tokio::test]
async fn a_removed_audience_is_found() {
    let found = after("DELETE FROM audiences WHERE body LIKE '%u-11%'").await;
    assert_found(found, 3, Damage::AudienceMissing(names()[1]));
}

#[tokio::test]
async fn audiences_that_changed_places_are_found() {
    let swap = "CREATE TEMP TABLE kept AS SELECT * FROM audiences;
                UPDATE audiences SET body = (SELECT body FROM kept WHERE kept.digest <> audiences.digest)";
    assert_found(after(swap).await, 1, Damage::AudienceAltered(names()[0]));
}

#[tokio::test]
async fn a_record_that_was_made_to_name_another_audience_is_found() {
    let other = "UPDATE records SET body = replace(body, body ->> 'audience',
                     (SELECT body ->> 'audience' FROM records WHERE number = 4)) WHERE number = 2";
    let home = Home::new();
    let audit = open(&home).await;
    let sizes = (1..=4).map(|number| delivery(number, &audience(0..number * 10)));
    audit.append(sizes.collect()).await.unwrap();
    audit.writer.execute("DROP TRIGGER records_are_never_updated").await;
    sqlx::raw_sql(other).execute(&mut connect(&home).await).await.unwrap();
    assert_found(audit.verify().await.unwrap(), 2, Damage::Altered);
}

#[tokio::test]
async fn audiences_are_neither_updated_nor_deleted() {
    let home = Home::new();
    open(&home).await.append(vec![delivery(1, &audience(1..=10))]).await.unwrap();
    let mut db = connect(&home).await;
    for attempt in [
        "UPDATE audiences SET body = '[]'",
        "DELETE FROM audiences",
        "UPDATE audience_users SET user = 'u-99'",
        "DELETE FROM audience_users",
        "UPDATE audience_records SET number = 9",
        "DELETE FROM audience_records",
        "UPDATE segments SET first = 9",
        "DELETE FROM segments",
    ] {
        let error = sqlx::query(attempt).execute(&mut db).await.unwrap_err().to_string();
        assert!(error.contains("the audit trail is append-only"), "{attempt}: {error}");
    }
}

#[tokio::test]
async fn an_audience_that_was_not_committed_is_written_again() {
    let home = Home::new();
    let audit = open(&home).await;
    let large = audience(1..=1000);
    audit.writer.execute("PRAGMA max_page_count = 1").await;
    audit.append(vec![delivery(1, &large)]).await.unwrap_err();
    // One that fails undoes what was written with it.
    let small = || vec![delivery(2, &audience(1..=5))];
    let (first, second, third) =
        tokio::join!(audit.append(small()), audit.append(vec![delivery(3, &large)]), audit.append(small()));
    assert!(first.is_ok() && second.is_err() && third.is_ok(), "{first:?} {second:?} {third:?}");
    audit.writer.execute("PRAGMA max_page_count = 1000000").await;
    audit.append(small()).await.unwrap();
    audit.append(vec![delivery(4, &large)]).await.unwrap();
    assert_eq!(audit.verify().await.unwrap(), Verified::Intact { records: 4 });
}

#[tokio::test]
async fn what_one_received_alone_and_among_many_can_be_looked_up_and_no_other_tenants() {
    let home = Home::new();
    let audit = open(&home).await;
    let (many, records) = received();
    audit.append(records).await.unwrap();
    let mut db = connect(&home).await;
    for (tenant, numbers) in RECEIVED_BY_THE_FIRST {
        let query = "SELECT number FROM audit_received JOIN records USING (writer, number)
                     WHERE audit_received.tenant = ?1 AND user = 'u-1' ORDER BY number";
        let found: Vec<i64> = sqlx::query_scalar(query).bind(tenant).fetch_all(&mut db).await.unwrap();
        assert_eq!(found, numbers, "{tenant}");
    }
    let plan = "EXPLAIN QUERY PLAN SELECT * FROM audit_received WHERE tenant = 'acme' AND user = 'u-1'";
    let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(plan).fetch_all(&mut db).await.unwrap();
    let scans: Vec<_> = steps.iter().filter(|(.., step)| step.starts_with("SCAN")).collect();
    assert!(matches!(scans[..], [(.., step)] if step == "SCAN segments"), "else by indexes: {steps:?}");
    let body = "SELECT audiences.body FROM records JOIN audiences ON digest = unhex(records.body ->> 'audience')
                WHERE number = 1";
    assert_eq!(sqlx::query_scalar::<_, String>(body).fetch_one(&mut db).await.unwrap(), many.canonical());
}

/// As the version before wrote it: with everybody in the body, whoever many they are.
#[tokio::test]
async fn an_old_trail_is_read_as_it_is_and_goes_on() {
    let home = Home::new();
    let mut db = connect(&home).await;
    sqlx::raw_sql(SCHEMA.migrations[0]).execute(&mut db).await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 1").execute(&mut db).await.unwrap();
    let mut end = Link::beginning("node-1.old");
    for number in 1..=3 {
        let body = format!(
            r#"{{"at":1790000000000,"tenant":"acme","action":"deliver","patient":"m-1","event_id":"e-{number}","event_type":"test.Happened","cursor":"c","seen":{{"visibilities":0,"sensitivities":0,"revision":"r-1"}},"recipients":{}}}"#,
            audience(1..=10).canonical()
        );
        let next = end.next(body.as_bytes());
        sqlx::query(
            "INSERT INTO records (writer, number, prev_hash, hash, body) VALUES ('node-1.old', ?1, ?2, ?3, ?4)",
        )
        .bind(next.number)
        .bind(end.hash.as_slice())
        .bind(next.hash.as_slice())
        .bind(body)
        .execute(&mut db)
        .await
        .unwrap();
        let index = format!(
            "INSERT INTO audit_patients VALUES ('acme', 'm-1', 'node-1.old', {number});
             INSERT INTO audit_recipients SELECT 'acme', 'u-' || value, 'node-1.old', {number} FROM json_each('[1,2,3,4,5,6,7,8,9,10]')"
        );
        sqlx::raw_sql(AssertSqlSafe(index)).execute(&mut db).await.unwrap();
        end = next;
    }
    db.close().await.unwrap();
    assert_eq!(verify(&home).await, Verified::Intact { records: 3 }, "before it is brought up to date");
    let audit = open(&home).await;
    audit.append(vec![delivery(4, &audience(1..=10))]).await.unwrap();
    assert_eq!(audit.verify().await.unwrap(), Verified::Intact { records: 4 });
}
