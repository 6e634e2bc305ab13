//! Reading the trail: verification needs no running Sluice.

use std::time::Duration;

use sluice_subscriptions::audit::{AuditUnavailable, Verified};

use super::unavailable;
use crate::{
    audit_chain::{Row, Walk},
    postgres::{OpenError, Postgres, PostgresOptions},
};

/// How many records are read at once.
const PAGE: i64 = 1000;

/// For each page.
const DEADLINE: Duration = Duration::from_secs(30);

/// An audit trail that can only be read.
#[derive(Clone)]
pub struct PostgresAuditReader {
    db: Postgres,
}

impl PostgresAuditReader {
    pub(super) fn new(db: Postgres) -> Self {
        Self { db }
    }

    /// Connects as a role that may read `sluice.schema_version` and `sluice.audit_records`; it needs nothing more.
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        let options = PostgresOptions { url: url.to_owned(), max_connections: 1, deadline: DEADLINE };
        Ok(Self { db: Postgres::connect(&options).await? })
    }

    /// Walks every chain from its beginning.
    pub async fn verify(&self) -> Result<Verified, AuditUnavailable> {
        self.verify_with(|_| {}).await
    }

    /// [`Self::verify`], telling now and then how many records it has checked.
    ///
    /// It finds what was altered, moved, or removed before a record that is still there. Records cut off at a chain's end
    /// leave no trace in the tables.
    pub async fn verify_with(&self, mut progress: impl FnMut(u64) + Send) -> Result<Verified, AuditUnavailable> {
        let mut walk = Walk::default();
        loop {
            let rows = self.page(&walk).await?;
            if let Some(finding) = walk.take(rows) {
                return Ok(finding);
            }
            progress(walk.records);
        }
    }

    async fn page(&self, walk: &Walk) -> Result<Vec<Row>, AuditUnavailable> {
        let (writer, number) = walk.place();
        let rows = sqlx::query_as(
            "SELECT writer, number, prev_hash, hash, convert_to(body, 'UTF8') FROM sluice.audit_records
             WHERE (writer, number) > ($1, $2) ORDER BY writer, number LIMIT $3",
        )
        .bind(writer)
        .bind(number)
        .bind(PAGE);
        self.db.within(rows.fetch_all(self.db.pool())).await.map_err(unavailable)
    }
}
