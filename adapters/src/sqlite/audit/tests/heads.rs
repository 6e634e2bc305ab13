//! The trail on a file, and its signed heads in another.

use std::path::PathBuf;

use sluice_subscriptions::audit::{AuditTrail, Damage, Verified, contract::records};
use sqlx::{ConnectOptions, Connection};

use super::{SCHEMA, open};
use crate::{
    audit_chain::Link,
    audit_heads::{Coverage, HeadSigner, PublicKey, Signed, SigningKey, TrustedHeads},
    sqlite::{SqliteAudit, database, test_support::Home},
};

fn heads_file(home: &Home) -> PathBuf {
    home.data.file("audit-heads.jsonl")
}

fn key_file(home: &Home) -> PathBuf {
    home.data.file("audit-signing.pk8")
}

async fn signer(home: &Home, audit: &SqliteAudit) -> HeadSigner {
    HeadSigner::begin(&heads_file(home), SigningKey::open(&key_file(home)).unwrap(), audit.end()).await.unwrap()
}

fn heads(home: &Home) -> TrustedHeads {
    TrustedHeads::read(&[heads_file(home)], PublicKey::of_signing_key(&key_file(home)).unwrap()).unwrap()
}

async fn verify(home: &Home) -> (Verified, Coverage) {
    let reader = SqliteAudit::open_read_only(home.data.file(SCHEMA.file)).await.unwrap();
    let mut heads = heads(home);
    let verified = reader.verify_against(Some(&mut heads), |_| {}).await.unwrap();
    reader.close().await;
    (verified, heads.coverage())
}

#[tokio::test]
async fn heads_follow_the_chain_and_are_not_repeated() {
    let home = Home::new();
    let audit = open(&home).await;
    let signer = signer(&home, &audit).await;
    assert_eq!(signer.sign().await.unwrap(), Signed::Unchanged);
    audit.append(records(1)).await.unwrap();
    assert_eq!(signer.sign().await.unwrap(), Signed::Kept);
    assert_eq!(signer.sign().await.unwrap(), Signed::Unchanged);
    audit.append(records(2)).await.unwrap();
    let while_it_runs = (Verified::Intact { records: 8 }, Coverage { heads: 2, uncovered: 4, headless: 0 });
    assert_eq!(verify(&home).await, while_it_runs);
    audit.close().await;
    signer.close().await.unwrap();
    let closed = (Verified::Intact { records: 8 }, Coverage { heads: 3, uncovered: 0, headless: 0 });
    assert_eq!(verify(&home).await, closed);
}

#[tokio::test]
async fn records_that_were_refused_are_in_no_head() {
    let home = Home::new();
    let audit = open(&home).await;
    let signer = signer(&home, &audit).await;
    audit.append(records(1)).await.unwrap();
    audit.writer.execute("PRAGMA max_page_count = 1").await;
    audit.append((0..500).flat_map(records).collect()).await.unwrap_err();
    signer.sign().await.unwrap();
    assert_eq!(verify(&home).await.0, Verified::Intact { records: 4 });
}

#[tokio::test]
async fn a_writer_from_before_there_were_heads_is_told_apart_from_one_that_is_missing() {
    let home = Home::new();
    let before = open(&home).await;
    before.append(records(1)).await.unwrap();
    before.close().await;
    let audit = open(&home).await;
    let signer = signer(&home, &audit).await;
    audit.append(records(2)).await.unwrap();
    audit.close().await;
    signer.close().await.unwrap();
    let found = (Verified::Intact { records: 8 }, Coverage { heads: 2, uncovered: 4, headless: 1 });
    assert_eq!(verify(&home).await, found);

    for (cut, number, why) in
        [("number = 4", 4, Damage::CutOff { head: 4 }), ("true", 1, Damage::ChainMissing { head: 4 })]
    {
        let mut db = database::options(&home.data.file(SCHEMA.file)).connect().await.unwrap();
        sqlx::raw_sql("DROP TRIGGER IF EXISTS records_are_never_deleted").execute(&mut db).await.unwrap();
        let delete = format!("DELETE FROM records WHERE writer = (SELECT max(writer) FROM records) AND {cut}");
        assert!(sqlx::query(sqlx::AssertSqlSafe(delete)).execute(&mut db).await.unwrap().rows_affected() > 0);
        db.close().await.unwrap();
        let Verified::Broken { writer, number: at, why: found } = verify(&home).await.0 else { panic!("{cut}") };
        assert_eq!((at, found), (number, why), "{cut}");
        assert!(writer.starts_with("node-1."), "{writer}");
    }
}

/// No head is of it; that it follows all the rules of a chain does not make it one of ours.
#[tokio::test]
async fn a_chain_of_a_writer_without_a_name_is_a_writer_without_head() {
    let home = Home::new();
    let audit = open(&home).await;
    let signer = signer(&home, &audit).await;
    audit.append(records(1)).await.unwrap();
    let mut db = database::options(&home.data.file(SCHEMA.file)).connect().await.unwrap();
    let (start, body) = (Link::beginning(""), "{}");
    let query = "INSERT INTO records (writer, number, prev_hash, hash, body) VALUES ('', 1, ?1, ?2, ?3)";
    let hashes = [start.hash, start.next(body.as_bytes()).hash];
    sqlx::query(query).bind(hashes[0].as_slice()).bind(hashes[1].as_slice()).bind(body).execute(&mut db).await.unwrap();
    audit.close().await;
    signer.close().await.unwrap();
    let found = (Verified::Intact { records: 5 }, Coverage { heads: 2, uncovered: 1, headless: 1 });
    assert_eq!(verify(&home).await, found);
}

#[tokio::test]
async fn as_many_records_are_announced_as_there_are_to_check() {
    let home = Home::new();
    for boot in 0..3 {
        let audit = open(&home).await;
        assert_eq!(audit.reader().records().await.unwrap(), 4 * boot);
        audit.append(records(1)).await.unwrap();
        audit.close().await;
    }
}
