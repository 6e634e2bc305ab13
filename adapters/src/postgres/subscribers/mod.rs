//! What the clients of named subscriptions acknowledged.

use std::fmt::Display;

use async_trait::async_trait;
use sluice_schema::position::Cursor;
use sluice_subscriptions::subscribers::{MAX_NAMES, Subscriber, SubscriberState, SubscribersError, moved_on};
use sqlx::PgConnection;

use super::{Postgres, error::Failed};

/// A [`SubscriberState`] on PostgreSQL.
#[derive(Clone)]
pub struct PostgresSubscribers {
    db: Postgres,
}

impl PostgresSubscribers {
    pub fn new(db: &Postgres) -> Self {
        Self { db: db.clone() }
    }

    /// One transaction. The row is locked while it moves on, so that two nodes join what they have.
    async fn move_on(&self, subscriber: &Subscriber, cursor: &Cursor) -> Result<Outcome, sqlx::Error> {
        let mut transaction = self.db.pool().begin().await?;
        let mut kept = lock(&mut transaction, subscriber).await?;
        if kept.is_none() {
            lock_names(&mut transaction, subscriber).await?;
            // It may have been made meanwhile.
            kept = lock(&mut transaction, subscriber).await?;
            if kept.is_none() && names(&mut transaction, subscriber).await? >= MAX_NAMES as i64 {
                return Ok(Outcome::TooManyNames);
            }
        }
        let Ok(kept) = kept.map(|kept| kept.parse::<Cursor>()).transpose() else { return Ok(Outcome::Damaged) };
        if let Some(moved) = moved_on(kept.as_ref(), cursor) {
            keep(&mut transaction, subscriber, &moved).await?;
            transaction.commit().await?;
        }
        Ok(Outcome::Kept)
    }
}

enum Outcome {
    Kept,
    TooManyNames,
    Damaged,
}

#[async_trait]
impl SubscriberState for PostgresSubscribers {
    async fn acknowledge(&self, subscriber: &Subscriber, cursor: &Cursor) -> Result<(), SubscribersError> {
        match self.db.within(self.move_on(subscriber, cursor)).await.map_err(unavailable)? {
            Outcome::Kept => Ok(()),
            Outcome::TooManyNames => Err(SubscribersError::TooManyNames),
            Outcome::Damaged => Err(damaged()),
        }
    }

    async fn last(&self, subscriber: &Subscriber) -> Result<Option<Cursor>, SubscribersError> {
        let kept = of(
            sqlx::query_as::<_, (String,)>(
                "SELECT cursor FROM sluice.subscribers WHERE tenant = $1 AND user_id = $2 AND name = $3",
            ),
            subscriber,
        );
        let kept = self.db.within(kept.fetch_optional(self.db.pool())).await.map_err(unavailable)?;
        kept.map(|(kept,)| kept.parse().map_err(|_| damaged())).transpose()
    }

    async fn forget(&self, subscriber: &Subscriber) -> Result<(), SubscribersError> {
        let gone = sqlx::query("DELETE FROM sluice.subscribers WHERE tenant = $1 AND user_id = $2 AND name = $3")
            .bind(subscriber.tenant.as_str())
            .bind(subscriber.user.as_str())
            .bind(subscriber.name.as_str());
        self.db.within(gone.execute(self.db.pool())).await.map(drop).map_err(unavailable)
    }
}

fn unavailable(error: impl Display) -> SubscribersError {
    SubscribersError::Unavailable(error.to_string())
}

fn damaged() -> SubscribersError {
    unavailable(Failed("the cursor that is kept is damaged: forget the subscription, and begin anew".into()))
}

type QueryAs<'q, T> = sqlx::query::QueryAs<'q, sqlx::Postgres, T, sqlx::postgres::PgArguments>;

/// Binds the primary key.
fn of<'q, T>(query: QueryAs<'q, T>, subscriber: &'q Subscriber) -> QueryAs<'q, T> {
    query.bind(subscriber.tenant.as_str()).bind(subscriber.user.as_str()).bind(subscriber.name.as_str())
}

/// Locks the subscriber's row, if it has one, and gives what is kept.
async fn lock(db: &mut PgConnection, subscriber: &Subscriber) -> Result<Option<String>, sqlx::Error> {
    let query = sqlx::query_as::<_, (String,)>(
        "SELECT cursor FROM sluice.subscribers WHERE tenant = $1 AND user_id = $2 AND name = $3 FOR UPDATE",
    );
    Ok(of(query, subscriber).fetch_optional(db).await?.map(|(kept,)| kept))
}

/// One new name of a user at a time, so that they can be counted.
async fn lock_names(db: &mut PgConnection, subscriber: &Subscriber) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('sluice.subscribers ' || $1 || ' ' || $2, 0))")
        .bind(subscriber.tenant.as_str())
        .bind(subscriber.user.as_str())
        .execute(db)
        .await
        .map(drop)
}

async fn names(db: &mut PgConnection, subscriber: &Subscriber) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM sluice.subscribers WHERE tenant = $1 AND user_id = $2")
        .bind(subscriber.tenant.as_str())
        .bind(subscriber.user.as_str())
        .fetch_one(db)
        .await
}

async fn keep(db: &mut PgConnection, subscriber: &Subscriber, cursor: &Cursor) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO sluice.subscribers (tenant, user_id, name, cursor) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant, user_id, name) DO UPDATE SET cursor = excluded.cursor",
    )
    .bind(subscriber.tenant.as_str())
    .bind(subscriber.user.as_str())
    .bind(subscriber.name.as_str())
    .bind(cursor.to_string())
    .execute(db)
    .await
    .map(drop)
}
