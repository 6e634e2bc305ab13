//! Revoked tokens: `revocations.db`.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use jiff::Timestamp;
use sluice_subscriptions::revocations::{PAGE, Revocation, RevocationsUnavailable, TokenRevocations};
use sqlx::{SqliteConnection, SqlitePool};

use super::{
    DataDir, OpenError,
    database::{self, Schema},
    wal::Wal,
    writer::{Work, Writer},
};
use crate::revocation_row::{Row, columns, read};

const SCHEMA: Schema =
    Schema { file: "revocations.db", migrations: &[include_str!("../migrations/revocations/0001_revocations.sql")] };

const READERS: u32 = 1;

/// A [`TokenRevocations`] on one SQLite file.
pub struct SqliteRevocations {
    writer: Writer<RevocationWork>,
    readers: SqlitePool,
}

impl SqliteRevocations {
    /// Opens `revocations.db`, or makes it. Must be called within a tokio runtime.
    pub async fn open(directory: &DataDir) -> Result<Self, OpenError> {
        let path = directory.private_file(SCHEMA.file)?;
        let db = database::open(&path, SCHEMA).await?;
        let readers = database::readers(&path, READERS).await?;
        let writer = Writer::start(directory, db, Wal::start(&path).await?, RevocationWork);
        Ok(Self { writer, readers })
    }

    /// Writes what is queued and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

enum Job {
    Revoke(Revocation),
    Purge(Timestamp),
}

struct RevocationWork;

impl Work for RevocationWork {
    type Job = Job;
    type Done = ();
    const BEFORE_COMMIT: &'static str = "revocations.before-commit";

    async fn apply(&mut self, db: &mut SqliteConnection, job: &Job) -> Result<(), sqlx::Error> {
        let query = match job {
            Job::Revoke(Revocation { tenant, revoked, kept_until }) => {
                let (token, user, issued_until) = columns(revoked);
                sqlx::query(
                    "INSERT INTO revocations (tenant, token, user, issued_until, kept_until) VALUES (?1, ?2, ?3, ?4, ?5)",
                )
                .bind(tenant.as_str())
                .bind(token)
                .bind(user)
                .bind(issued_until)
                .bind(kept_until.as_second())
            }
            Job::Purge(now) => sqlx::query("DELETE FROM revocations WHERE kept_until <= ?1").bind(now.as_second()),
        };
        query.execute(db).await.map(drop)
    }
}

#[async_trait]
impl TokenRevocations for SqliteRevocations {
    async fn revoke(&self, revocation: &Revocation) -> Result<(), RevocationsUnavailable> {
        self.writer.submit_one(Job::Revoke(revocation.clone())).await.map_err(unavailable)
    }

    async fn behind(&self, place: u64) -> Result<Vec<(u64, Revocation)>, RevocationsUnavailable> {
        let query = sqlx::query_as::<_, Row>(
            "SELECT place, tenant, token, user, issued_until, kept_until FROM revocations
             WHERE place > ?1 ORDER BY place LIMIT ?2",
        );
        let query = query.bind(i64::try_from(place).unwrap_or(i64::MAX)).bind(PAGE as i64);
        let rows = query.fetch_all(&self.readers).await.map_err(unavailable)?;
        rows.into_iter().map(|row| read(row).ok_or_else(|| unavailable("a row is damaged"))).collect()
    }

    async fn purge(&self, now: Timestamp) -> Result<(), RevocationsUnavailable> {
        self.writer.submit_one(Job::Purge(now)).await.map_err(unavailable)
    }

    /// A data directory has one process.
    fn is_shared(&self) -> bool {
        false
    }
}

fn unavailable(error: impl std::fmt::Display) -> RevocationsUnavailable {
    RevocationsUnavailable(error.to_string())
}
