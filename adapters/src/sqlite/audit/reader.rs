//! Reading the trail: verification needs no running Sluice.

use std::path::Path;

use sluice_subscriptions::audit::{AuditUnavailable, Digest, Verified};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use super::{SCHEMA, unavailable};
use crate::{
    audit_chain::{Row, Walk},
    sqlite::{OpenError, database},
};

/// How many records are read at once: no long read that would hold up the write-ahead log.
const PAGE: i64 = 1000;

/// An audit trail that can only be read.
#[derive(Debug, Clone)]
pub struct AuditReader {
    pool: SqlitePool,
}

impl AuditReader {
    pub(super) fn new(pool: SqlitePool) -> Self {
        Self { pool }
    }

    pub(super) async fn open(path: &Path) -> Result<Self, OpenError> {
        let database_error = |source| OpenError::Database { path: path.to_owned(), source };
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.map_err(database_error)?;
        let found = sqlx::query_scalar("PRAGMA user_version").fetch_one(&pool).await.map_err(database_error)?;
        database::check_version(path, SCHEMA, found)?;
        Ok(Self { pool })
    }

    /// Walks every chain from its beginning.
    pub async fn verify(&self) -> Result<Verified, AuditUnavailable> {
        self.verify_with(|_| {}).await
    }

    /// [`Self::verify`], telling now and then how many records it has checked.
    ///
    /// It finds what was altered, moved, or removed before a record that is still there, and audiences that were altered
    /// or removed. Records cut off at a chain's end leave no trace in the file.
    pub async fn verify_with(&self, mut progress: impl FnMut(u64) + Send) -> Result<Verified, AuditUnavailable> {
        let mut walk = Walk::default();
        loop {
            let rows = self.page(&walk).await?;
            for digest in walk.unseen(&rows) {
                let kept = self.audience(&digest).await?;
                walk.look_at(digest, kept.as_deref());
            }
            if let Some(finding) = walk.take(rows) {
                return Ok(finding);
            }
            progress(walk.records);
        }
    }

    async fn page(&self, walk: &Walk) -> Result<Vec<Row>, AuditUnavailable> {
        let (writer, number) = walk.place();
        sqlx::query_as(
            "SELECT writer, number, prev_hash, hash, CAST(body AS BLOB) FROM records
             WHERE (writer, number) > (?1, ?2) ORDER BY writer, number LIMIT ?3",
        )
        .bind(writer)
        .bind(number)
        .bind(PAGE)
        .fetch_all(&self.pool)
        .await
        .map_err(unavailable)
    }

    /// What is kept under this name: one at a time, for they can be large.
    async fn audience(&self, digest: &Digest) -> Result<Option<Vec<u8>>, AuditUnavailable> {
        sqlx::query_scalar("SELECT CAST(body AS BLOB) FROM audiences WHERE digest = ?1")
            .bind(digest.as_bytes())
            .fetch_optional(&self.pool)
            .await
            .map_err(unavailable)
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}
