//! Reading the trail: verification needs no running Sluice.

use std::{collections::HashMap, time::Duration};

use sluice_subscriptions::audit::{AuditUnavailable, Digest, Verified};

use super::unavailable;
use crate::{
    audit_chain::{Row, Walk},
    audit_heads::TrustedHeads,
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

    /// [`Self::verify_against`] no heads: records cut off at a chain's end, and chains that are missing or computed anew, leave
    /// no trace in the tables.
    pub async fn verify_with(&self, progress: impl FnMut(u64) + Send) -> Result<Verified, AuditUnavailable> {
        self.verify_against(None, progress).await
    }

    /// Walks every chain and holds it against signed heads, telling now and then how many records it has checked.
    ///
    /// It finds what was altered, moved or removed, audiences that were altered or removed, and what the heads tell of that is
    /// not there or not as it was.
    pub async fn verify_against(
        &self,
        heads: Option<&mut TrustedHeads>,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<Verified, AuditUnavailable> {
        let mut walk = Walk::new(heads);
        loop {
            let rows = self.page(&walk).await?;
            for digests in walk.unseen(&rows).chunks(AUDIENCES) {
                let kept = self.audiences(digests).await?;
                digests.iter().for_each(|digest| walk.look_at(*digest, kept.get(digest.as_bytes()).map(Vec::as_slice)));
            }
            if let Some(finding) = walk.take(rows)? {
                return Ok(finding);
            }
            progress(walk.records);
        }
    }

    /// How many records there are to check, from the last number of each chain.
    pub async fn records(&self) -> Result<u64, AuditUnavailable> {
        let query = "
            WITH RECURSIVE writers (writer) AS (
                SELECT min(writer) FROM sluice.audit_records
                UNION ALL
                SELECT (SELECT min(r.writer) FROM sluice.audit_records r WHERE r.writer > writers.writer)
                FROM writers WHERE writer IS NOT NULL
            )
            SELECT coalesce(sum((SELECT max(r.number) FROM sluice.audit_records r WHERE r.writer = writers.writer)), 0)::bigint
            FROM writers WHERE writer IS NOT NULL";
        let count = sqlx::query_scalar(query).fetch_one(self.db.pool());
        self.db.within(count).await.map_err(unavailable).map(i64::unsigned_abs)
    }

    async fn page(&self, walk: &Walk<'_>) -> Result<Vec<Row>, AuditUnavailable> {
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
