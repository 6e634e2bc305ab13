//! Reading the trail: verification needs no running Sluice.

use std::{collections::HashMap, time::Duration};

use sluice_subscriptions::audit::{AuditUnavailable, Digest, Verified};

use super::unavailable;
use crate::{
    audit_chain::{Row, Walk},
    postgres::{OpenError, Postgres, PostgresOptions},
};

/// How many records are read at once.
const PAGE: i64 = 1000;

/// How many audiences are read at once: they can be large.
const AUDIENCES: usize = 16;

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

    /// Connects as a role that may read `sluice.schema_version`, `sluice.audit_records` and `sluice.audit_audiences`; it
    /// needs nothing more.
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
    /// It finds what was altered, moved, or removed before a record that is still there, and audiences that were altered
    /// or removed. Records cut off at a chain's end leave no trace in the tables.
    pub async fn verify_with(&self, mut progress: impl FnMut(u64) + Send) -> Result<Verified, AuditUnavailable> {
        let mut walk = Walk::default();
        loop {
            let rows = self.page(&walk).await?;
            for digests in walk.unseen(&rows).chunks(AUDIENCES) {
                let kept = self.audiences(digests).await?;
                digests.iter().for_each(|digest| walk.look_at(*digest, kept.get(digest.as_bytes()).map(Vec::as_slice)));
            }
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

    /// What is kept under these names.
    async fn audiences(&self, digests: &[Digest]) -> Result<HashMap<Vec<u8>, Vec<u8>>, AuditUnavailable> {
        let names: Vec<_> = digests.iter().map(Digest::as_bytes).collect();
        let query = "SELECT digest, convert_to(body, 'UTF8') FROM sluice.audit_audiences WHERE digest = ANY($1)";
        let rows = sqlx::query_as(query).bind(names);
        let rows: Vec<_> = self.db.within(rows.fetch_all(self.db.pool())).await.map_err(unavailable)?;
        Ok(rows.into_iter().collect())
    }
}
