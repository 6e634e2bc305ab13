//! Reading the trail: verification needs no running Sluice.

use std::{collections::HashMap, path::Path};

use async_trait::async_trait;
use sluice_subscriptions::audit::{AuditUnavailable, Digest, Index, Verified};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use super::{SCHEMA, look_up, unavailable};
use crate::{
    audit_chain::{Member, Row, Source, Wanted, verify},
    audit_heads::TrustedHeads,
    sqlite::{OpenError, database},
};

/// How many records are read at once: no long read that would hold up the write-ahead log.
const PAGE: i64 = 1000;

/// An audit trail that can only be read.
#[derive(Debug, Clone)]
pub struct AuditReader {
    pool: SqlitePool,
    /// Of the schema: a file that no Sluice of this version has opened yet is read as it lies.
    version: i64,
}

impl AuditReader {
    pub(super) fn new(pool: SqlitePool) -> Self {
        Self { pool, version: SCHEMA.migrations.len() as i64 }
    }

    pub(super) async fn open(path: &Path) -> Result<Self, OpenError> {
        let database_error = |source| OpenError::Database { path: path.to_owned(), source };
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.map_err(database_error)?;
        let version = sqlx::query_scalar("PRAGMA user_version").fetch_one(&pool).await.map_err(database_error)?;
        database::check_version(path, SCHEMA, version)?;
        Ok(Self { pool, version })
    }

    /// Walks every chain from its beginning.
    pub async fn verify(&self) -> Result<Verified, AuditUnavailable> {
        self.verify_with(|_| {}).await
    }

    /// [`Self::verify_against`] no heads: records cut off at a chain's end, and chains that are missing or computed anew, leave
    /// no trace in the file.
    pub async fn verify_with(&self, progress: impl FnMut(u64) + Send) -> Result<Verified, AuditUnavailable> {
        self.verify_against(None, progress).await
    }

    /// Walks every chain and holds it against signed heads, telling now and then how many records it has checked.
    ///
    /// It finds what was altered, moved or removed, audiences that were altered or removed, what the indexes do not find, and what
    /// the heads tell of that is not there or not as it was.
    pub async fn verify_against(
        &self,
        heads: Option<&mut TrustedHeads>,
        progress: impl FnMut(u64) + Send,
    ) -> Result<Verified, AuditUnavailable> {
        verify(self, heads, progress).await
    }

    /// How many records there are to check, from the last number of each chain.
    pub async fn records(&self) -> Result<u64, AuditUnavailable> {
        let query = "
            WITH RECURSIVE writers (writer) AS (
                SELECT min(writer) FROM records
                UNION ALL
                SELECT (SELECT min(writer) FROM records WHERE records.writer > writers.writer)
                FROM writers WHERE writer IS NOT NULL
            )
            SELECT coalesce(sum((SELECT max(number) FROM records WHERE records.writer = writers.writer)), 0)
            FROM writers WHERE writer IS NOT NULL";
        sqlx::query_scalar(query).fetch_one(&self.pool).await.map_err(unavailable).map(i64::unsigned_abs)
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

#[async_trait]
impl Source for AuditReader {
    async fn page(&self, (writer, number): (&str, i64)) -> Result<Vec<Row>, AuditUnavailable> {
        sqlx::query_as(
            "SELECT writer, number, prev_hash, hash, CAST(body AS BLOB) FROM records
             WHERE (writer, number) >= (?1, ?2) ORDER BY writer, number LIMIT ?3",
        )
        .bind(writer)
        .bind(number)
        .bind(PAGE)
        .fetch_all(&self.pool)
        .await
        .map_err(unavailable)
    }

    async fn audiences(&self, names: &[Digest]) -> Result<HashMap<Digest, Vec<u8>>, AuditUnavailable> {
        let mut found = HashMap::new();
        for name in names {
            let kept = sqlx::query_scalar("SELECT CAST(body AS BLOB) FROM audiences WHERE digest = ?1")
                .bind(name.as_bytes())
                .fetch_optional(&self.pool)
                .await
                .map_err(unavailable)?;
            found.extend(kept.map(|kept| (*name, kept)));
        }
        Ok(found)
    }

    async fn missing(&self, index: Index, wanted: &[Wanted<'_>]) -> Result<Vec<usize>, AuditUnavailable> {
        look_up::missing(&self.pool, self.version, index, wanted).await
    }

    async fn missing_members(&self, members: &[Member<'_>]) -> Result<Vec<usize>, AuditUnavailable> {
        look_up::missing_members(&self.pool, members).await
    }
}
