//! Revoked tokens, for all nodes.

mod hear;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use sluice_subscriptions::revocations::{PAGE, Revocation, RevocationsUnavailable, TokenRevocations};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::Postgres;
use crate::revocation_row::{Row, columns, read};

/// A [`TokenRevocations`] on PostgreSQL.
pub struct PostgresRevocations {
    db: Postgres,
    /// Somebody has revoked something.
    stirred: Arc<Notify>,
    _hearing: AbortOnDropHandle<()>,
}

impl PostgresRevocations {
    /// Begins to listen for what other nodes revoke. Must be called within a tokio runtime.
    pub fn open(db: &Postgres) -> Self {
        let stirred = Arc::new(Notify::new());
        let hearing = tokio::spawn(hear::run(db.clone(), stirred.clone()));
        Self { db: db.clone(), stirred, _hearing: AbortOnDropHandle::new(hearing) }
    }

    /// One transaction, and one at a time on all nodes: a place is given and committed before the next one is given, so that who reads
    /// on behind the last place passes none over.
    async fn insert(&self, revocation: &Revocation) -> Result<(), sqlx::Error> {
        let Revocation { tenant, revoked, kept_until } = revocation;
        let (token, user, issued_until) = columns(revoked);
        let mut transaction = self.db.pool().begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('sluice.revocations', 0))")
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO sluice.revocations (tenant, token, user_id, issued_until, kept_until) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(tenant.as_str())
        .bind(token)
        .bind(user)
        .bind(issued_until)
        .bind(kept_until.as_second())
        .execute(&mut *transaction)
        .await?;
        // Who notifies within a transaction commits after whoever does so before: it is seldom, and goes one by one anyway.
        sqlx::query(hear::NOTIFY).execute(&mut *transaction).await?;
        transaction.commit().await
    }
}

#[async_trait]
impl TokenRevocations for PostgresRevocations {
    async fn revoke(&self, revocation: &Revocation) -> Result<(), RevocationsUnavailable> {
        self.db.within(self.insert(revocation)).await.map_err(unavailable)
    }

    async fn behind(&self, place: u64) -> Result<Vec<(u64, Revocation)>, RevocationsUnavailable> {
        let query = sqlx::query_as::<_, Row>(
            "SELECT place, tenant, token, user_id, issued_until, kept_until FROM sluice.revocations
             WHERE place > $1 ORDER BY place LIMIT $2",
        );
        let query = query.bind(i64::try_from(place).unwrap_or(i64::MAX)).bind(PAGE as i64);
        let rows = self.db.within(query.fetch_all(self.db.pool())).await.map_err(unavailable)?;
        rows.into_iter().map(|row| read(row).ok_or_else(|| unavailable("a row is damaged"))).collect()
    }

    async fn purge(&self, now: Timestamp) -> Result<(), RevocationsUnavailable> {
        let gone = sqlx::query("DELETE FROM sluice.revocations WHERE kept_until <= $1").bind(now.as_second());
        self.db.within(gone.execute(self.db.pool())).await.map(drop).map_err(unavailable)
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn stirred(&self) {
        self.stirred.notified().await;
    }
}

fn unavailable(error: impl std::fmt::Display) -> RevocationsUnavailable {
    RevocationsUnavailable(error.to_string())
}
