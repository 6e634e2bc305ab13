//! The audit trail: `audit.db`, append-only, a hash chain per writer.

mod insert;
mod look_up;
mod reader;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, path::Path};

use async_trait::async_trait;
use sluice_subscriptions::audit::{AuditRecord, AuditTrail, AuditUnavailable, Verified};
use sqlx::SqliteConnection;
use tokio::sync::watch;

use self::insert::{Inserts, write_audience};
pub use self::reader::AuditReader;
use super::{
    DataDir, OpenError,
    database::{self, Schema},
    wal::Wal,
    writer::{Work, Writer},
};
use crate::{
    audit_chain::{Entry, Key, Known, Link, Named, new_writer},
    audit_heads::ChainEnd,
};

const SCHEMA: Schema = Schema {
    file: "audit.db",
    migrations: &[
        include_str!("../migrations/audit/0001_records.sql"),
        include_str!("../migrations/audit/0002_audiences.sql"),
        include_str!("../migrations/audit/0003_no_replacing.sql"),
    ],
};

const READERS: u32 = 1;

/// An [`AuditTrail`] on one SQLite file.
pub struct SqliteAudit {
    writer: Writer<Chain>,
    reader: AuditReader,
    end: ChainEnd,
}

impl SqliteAudit {
    /// Opens `audit.db`, or makes it, and begins a chain of this boot's own. `node` is this node's name.
    pub async fn open(directory: &DataDir, node: &str) -> Result<Self, OpenError> {
        let path = directory.private_file(SCHEMA.file)?;
        let mut db = database::open(&path, SCHEMA).await?;
        let writer = new_writer(node);
        let chain = Chain::begin(&mut db, &writer).await;
        let chain = chain.map_err(|source| OpenError::Database { path: path.clone(), source })?;
        let end = ChainEnd::new(writer, chain.durable.subscribe());
        let reader = AuditReader::new(database::readers(&path, READERS).await?);
        let writer = Writer::start(directory, db, Wal::start(&path).await?, chain);
        Ok(Self { writer, reader, end })
    }

    /// Opens an `audit.db` to verify it, whether or not a Sluice is writing to it. Changes nothing.
    pub async fn open_read_only(path: impl AsRef<Path>) -> Result<AuditReader, OpenError> {
        AuditReader::open(path.as_ref()).await
    }

    /// What verifies and reads while this writes.
    pub fn reader(&self) -> &AuditReader {
        &self.reader
    }

    /// Where this boot's chain is.
    pub fn end(&self) -> ChainEnd {
        self.end.clone()
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
    /// What is on disk; heads are signed of it.
    durable: watch::Sender<Link>,
    tentative: Link,
    inserts: Inserts,
    /// The audiences that this boot has made durable, or has found so.
    known: Known,
    /// Those that are written with this transaction.
    written: HashSet<Key>,
}

impl Chain {
    async fn begin(db: &mut SqliteConnection, writer: &str) -> Result<Self, sqlx::Error> {
        let start = Link::beginning(writer);
        let inserts = Inserts::prepare(db, writer).await?;
        let durable = watch::Sender::new(start);
        Ok(Self { durable, tentative: start, inserts, known: Known::default(), written: HashSet::new() })
    }

    /// The audiences that are not known to be there, each once.
    fn unknown<'e>(&mut self, entries: &[&'e Entry]) -> Vec<(Key, &'e Named)> {
        let mut unknown = Vec::new();
        let mut seen = HashSet::new();
        for entry in entries {
            let Some(named) = &entry.audience else { continue };
            let key = (entry.tenant.clone(), named.digest);
            if !self.known.contains(&key) && !self.written.contains(&key) && seen.insert(key.clone()) {
                unknown.push((key, named));
            }
        }
        unknown
    }
}

impl Work for Chain {
    /// The records of one call: all or none.
    type Job = Vec<Entry>;
    type Done = ();
    const BEFORE_COMMIT: &'static str = "audit.before-commit";

    async fn apply(&mut self, db: &mut SqliteConnection, entries: &Vec<Entry>) -> Result<(), sqlx::Error> {
        self.write(db, &entries.iter().collect::<Vec<_>>()).await
    }

    /// As few statements for all calls as for one: where a crowd comes back, each has a call of its own.
    async fn apply_all(&mut self, db: &mut SqliteConnection, jobs: &[&Vec<Entry>]) -> Result<Vec<()>, sqlx::Error> {
        let entries: Vec<&Entry> = jobs.iter().copied().flatten().collect();
        self.write(db, &entries).await?;
        Ok(vec![(); jobs.len()])
    }

    fn committed(&mut self) {
        self.durable.send_replace(self.tentative);
        self.known.extend(self.written.drain());
    }

    fn discarded(&mut self) {
        self.tentative = *self.durable.borrow();
        self.written.clear();
    }
}

impl Chain {
    async fn write(&mut self, db: &mut SqliteConnection, entries: &[&Entry]) -> Result<(), sqlx::Error> {
        let unknown = self.unknown(entries);
        for (key, named) in &unknown {
            write_audience(db, key, named).await?;
        }
        self.tentative = self.inserts.write(db, self.tentative, entries).await?;
        self.written.extend(unknown.into_iter().map(|(key, _)| key));
        Ok(())
    }
}
