//! The trail in a database, and its signed heads in a file of each node's own.

use std::path::{Path, PathBuf};

use sluice_adapters::audit_heads::{Coverage, HeadSigner, PublicKey, Signed, SigningKey, TrustedHeads};
use sluice_subscriptions::audit::Damage;
use tempfile::TempDir;

use super::{indexes::auditor, *};

/// What a node keeps on its host.
struct Node {
    home: TempDir,
    audit: PostgresAudit,
    signer: HeadSigner,
}

impl Node {
    async fn start(database: &Database, name: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let audit = open(database, name).await;
        let key = SigningKey::open(&key_file(home.path())).unwrap();
        let signer = HeadSigner::begin(&heads_file(home.path()), key, audit.end()).await.unwrap();
        Self { home, audit, signer }
    }

    /// In order; what it has kept.
    async fn stop(self) -> TempDir {
        self.audit.close().await;
        self.signer.close().await.unwrap();
        self.home
    }
}

fn heads_file(home: &Path) -> PathBuf {
    home.join("heads.jsonl")
}

fn key_file(home: &Path) -> PathBuf {
    home.join("signing.pk8")
}

async fn verify(reader: &PostgresAuditReader, homes: &[&TempDir]) -> (Verified, Coverage) {
    let files: Vec<_> = homes.iter().map(|home| heads_file(home.path())).collect();
    let keys = homes.iter().flat_map(|home| PublicKey::of_signing_key(&key_file(home.path())).unwrap());
    let mut heads = TrustedHeads::read(&files, keys.collect()).unwrap();
    let verified = reader.verify_against(Some(&mut heads), |_| {}).await.unwrap();
    (verified, heads.coverage())
}

#[tokio::test]
async fn heads_of_all_nodes_agree_with_the_trail_and_are_read_by_who_may_only_verify() {
    let database = Database::new().await;
    let (one, other) = (Node::start(&database, "node-1").await, Node::start(&database, "node-2").await);
    for number in 0..3 {
        one.audit.append(records(number)).await.unwrap();
        assert_eq!(one.signer.sign().await.unwrap(), Signed::Kept);
        other.audit.append(records(number)).await.unwrap();
    }
    assert_eq!(one.signer.sign().await.unwrap(), Signed::Unchanged);
    let reader = auditor(&database).await;
    assert_eq!(reader.records().await.unwrap(), 24);
    let while_they_run = (Verified::Intact { records: 24 }, Coverage { heads: 5, uncovered: 12, headless: 0 });
    assert_eq!(verify(&reader, &[&one.home, &other.home]).await, while_they_run);
    let (one, other) = (one.stop().await, other.stop().await);
    let stopped = (Verified::Intact { records: 24 }, Coverage { heads: 7, uncovered: 0, headless: 0 });
    assert_eq!(verify(&reader, &[&one, &other]).await, stopped);
    let (_, by_one_alone) = verify(&reader, &[&one]).await;
    assert_eq!((by_one_alone.uncovered, by_one_alone.headless), (12, 1));
}

#[tokio::test]
async fn what_chains_alone_do_not_show_is_found() {
    for (tampering, number, why) in [
        ("DELETE FROM sluice.audit_records WHERE number > 6", 7, Damage::CutOff { head: 8 }),
        ("DELETE FROM sluice.audit_records", 1, Damage::ChainMissing { head: 8 }),
        // The last record altered, and its hash computed anew.
        (
            "UPDATE sluice.audit_records SET body = replace(body, 'c-1', 'c-9'),
                 hash = sha256(prev_hash || convert_to(replace(body, 'c-1', 'c-9'), 'UTF8')) WHERE number = 8",
            8,
            Damage::NotAsSigned,
        ),
        (
            "INSERT INTO sluice.audit_records (writer, number, prev_hash, hash, body)
             SELECT writer, 9, hash, sha256(hash || convert_to('{}', 'UTF8')), '{}'
             FROM sluice.audit_records WHERE number = 8",
            9,
            Damage::AfterEnd,
        ),
    ] {
        let database = Database::new().await;
        let node = Node::start(&database, "node-1").await;
        node.audit.append(records(1)).await.unwrap();
        node.audit.append(records(2)).await.unwrap();
        let home = node.stop().await;
        let reader = PostgresAuditReader::connect(&database.url).await.unwrap();
        assert_eq!(verify(&reader, &[&home]).await.0, Verified::Intact { records: 8 });
        database.execute("ALTER TABLE sluice.audit_records DISABLE TRIGGER append_only").await.unwrap();
        database.execute(tampering).await.unwrap();
        assert!(matches!(reader.verify().await.unwrap(), Verified::Intact { .. }), "{tampering}");
        let (found, _) = verify(&reader, &[&home]).await;
        let Verified::Broken { number: at, why: because, .. } = found else { panic!("not found: {tampering}") };
        assert_eq!((at, because), (number, why), "{tampering}");
    }
}
