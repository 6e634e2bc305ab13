//! The audit trail: tables that are only ever added to, a hash chain per writer.

mod insert;
mod reader;
mod writer;

use async_trait::async_trait;
use sluice_subscriptions::audit::{AuditRecord, AuditTrail, AuditUnavailable, Verified};

pub use self::reader::PostgresAuditReader;
use self::writer::Writer;
use super::{OpenError, Postgres};
use crate::{
    audit_chain::{Entry, new_writer},
    audit_heads::ChainEnd,
};

/// An [`AuditTrail`] on PostgreSQL.
pub struct PostgresAudit {
    writer: Writer,
    reader: PostgresAuditReader,
}

impl PostgresAudit {
    /// Begins a chain of this boot's own. `node` is this node's name. Must be called within a tokio runtime.
    pub async fn open(db: &Postgres, node: &str) -> Result<Self, OpenError> {
        let writer = Writer::start(db.clone(), new_writer(node)).await.map_err(|why| db.failed(why))?;
        Ok(Self { writer, reader: PostgresAuditReader::new(db.clone()) })
    }

    /// Where this boot's chain is.
    pub fn end(&self) -> ChainEnd {
        self.writer.end()
    }

    /// What verifies and reads while this writes.
    pub fn reader(&self) -> &PostgresAuditReader {
        &self.reader
    }

    /// Writes what is queued and closes the writer's connection. Records that come later are refused.
    pub async fn close(&self) {
        self.writer.close().await;
    }
}

#[async_trait]
impl AuditTrail for PostgresAudit {
    async fn append(&self, records: Vec<AuditRecord>) -> Result<(), AuditUnavailable> {
        if records.is_empty() {
            return Ok(());
        }
        let entries = records.iter().map(Entry::try_from).collect::<Result<Vec<_>, _>>()?;
        self.writer.append(entries).await.map_err(unavailable)
    }

    async fn verify(&self) -> Result<Verified, AuditUnavailable> {
        self.reader.verify().await
    }
}

fn unavailable(error: impl std::fmt::Display) -> AuditUnavailable {
    AuditUnavailable(error.to_string())
}
