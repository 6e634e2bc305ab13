//! The audit trail: `audit.db`, append-only, a hash chain per writer.

mod reader;
#[cfg(test)]
mod tests;

use std::path::Path;

use async_trait::async_trait;
use serde_json::json;
use sluice_subscriptions::audit::{AuditRecord, AuditTrail, AuditUnavailable, Verified};
use sqlx::SqliteConnection;

pub use self::reader::AuditReader;
use super::{
    DataDir, OpenError,
    database::{self, Schema},
    wal::Wal,
    writer::{Work, Writer},
};
use crate::audit_chain::{Entry, Link, new_writer};

const SCHEMA: Schema = Schema { file: "audit.db", migrations: &[include_str!("../migrations/audit/0001_records.sql")] };

const READERS: u32 = 1;

/// An [`AuditTrail`] on one SQLite file.
pub struct SqliteAudit {
    writer: Writer<Chain>,
    reader: AuditReader,
}

impl SqliteAudit {
    /// Opens `audit.db`, or makes it, and begins a chain of this boot's own. `node` is this node's name.
    pub async fn open(directory: &DataDir, node: &str) -> Result<Self, OpenError> {
        let path = directory.private_file(SCHEMA.file)?;
        let db = database::open(&path, SCHEMA).await?;
        let reader = AuditReader::new(database::readers(&path, READERS).await?);
        let writer = Writer::start(directory, db, Wal::start(&path).await?, Chain::new(new_writer(node)));
        Ok(Self { writer, reader })
    }

    /// Opens an `audit.db` to verify it, whether or not a Sluice is writing to it. Changes nothing.
    pub async fn open_read_only(path: impl AsRef<Path>) -> Result<AuditReader, OpenError> {
        AuditReader::open(path.as_ref()).await
    }

    /// What verifies and reads while this writes.
    pub fn reader(&self) -> &AuditReader {
        &self.reader
    }

    /// Writes what is queued and closes the file. Records that come later are refused.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

#[async_trait]
impl AuditTrail for SqliteAudit {
    async fn append(&self, records: Vec<AuditRecord>) -> Result<(), AuditUnavailable> {
        if records.is_empty() {
            return Ok(());
        }
        let entries = records.iter().map(Entry::try_from).collect::<Result<Vec<_>, _>>()?;
        self.writer.submit_one(entries).await.map_err(unavailable)
    }

    async fn verify(&self) -> Result<Verified, AuditUnavailable> {
        self.reader.verify().await
    }
}

fn unavailable(error: impl std::fmt::Display) -> AuditUnavailable {
    AuditUnavailable(error.to_string())
}

/// This boot's chain.
struct Chain {
    writer: String,
    durable: Link,
    tentative: Link,
}

impl Chain {
    fn new(writer: String) -> Self {
        let start = Link::beginning(&writer);
        Self { writer, durable: start, tentative: start }
    }
}

impl Work for Chain {
    /// The records of one call: all or none.
    type Job = Vec<Entry>;
    type Done = ();
    const BEFORE_COMMIT: &'static str = "audit.before-commit";

    async fn apply(&mut self, db: &mut SqliteConnection, entries: &Vec<Entry>) -> Result<(), sqlx::Error> {
        let mut end = self.tentative;
        for entry in entries {
            let next = end.next(entry.body.as_bytes());
            insert(db, &self.writer, &end, &next, entry).await?;
            end = next;
        }
        self.tentative = end;
        Ok(())
    }

    fn committed(&mut self) {
        self.durable = self.tentative;
    }

    fn discarded(&mut self) {
        self.tentative = self.durable;
    }
}

/// One round trip; the statements share the numbered parameters.
const INSERT: &str = "
    INSERT INTO records (writer, number, prev_hash, hash, body) VALUES (?1, ?2, ?3, ?4, ?5);
    INSERT INTO audit_recipients (tenant, user, writer, number) SELECT ?6, value, ?1, ?2 FROM json_each(?7);
    INSERT INTO audit_patients (tenant, patient, writer, number) SELECT ?6, value, ?1, ?2 FROM json_each(?8);";

async fn insert(
    db: &mut SqliteConnection,
    writer: &str,
    end: &Link,
    next: &Link,
    entry: &Entry,
) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT)
        .bind(writer)
        .bind(next.number)
        .bind(end.hash.as_slice())
        .bind(next.hash.as_slice())
        .bind(&entry.body)
        .bind(&entry.tenant)
        .bind(json!(entry.users).to_string())
        .bind(json!(entry.patients).to_string())
        .execute(db)
        .await
        .map(drop)
}
