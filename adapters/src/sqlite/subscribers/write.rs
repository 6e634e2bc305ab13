//! What the file's writer does.

use sluice_schema::position::{Cursor, MalformedCursor};
use sluice_subscriptions::subscribers::{MAX_NAMES, Subscriber, SubscribersError, moved_on};
use sqlx::SqliteConnection;

use crate::sqlite::writer::Work;

pub(super) enum Job {
    Acknowledge(Subscriber, Cursor),
    Forget(Subscriber),
}

pub(super) struct SubscriberWork;

impl Work for SubscriberWork {
    type Job = Job;
    type Done = Result<(), SubscribersError>;
    const BEFORE_COMMIT: &'static str = "subscribers.before-commit";

    async fn apply(&mut self, db: &mut SqliteConnection, job: &Job) -> Result<Self::Done, sqlx::Error> {
        match job {
            Job::Acknowledge(subscriber, cursor) => acknowledge(db, subscriber, cursor).await,
            Job::Forget(subscriber) => forget(db, subscriber).await.map(Ok),
        }
    }
}

/// What is kept; the inner error where it is damaged.
pub(super) async fn read(
    db: &mut SqliteConnection,
    subscriber: &Subscriber,
) -> Result<Option<Result<Cursor, MalformedCursor>>, sqlx::Error> {
    let kept: Option<String> =
        sqlx::query_scalar("SELECT cursor FROM subscribers WHERE tenant = ?1 AND user = ?2 AND name = ?3")
            .bind(subscriber.tenant.as_str())
            .bind(subscriber.user.as_str())
            .bind(subscriber.name.as_str())
            .fetch_optional(db)
            .await?;
    Ok(kept.map(|kept| kept.parse()))
}

async fn acknowledge(
    db: &mut SqliteConnection,
    subscriber: &Subscriber,
    cursor: &Cursor,
) -> Result<Result<(), SubscribersError>, sqlx::Error> {
    let kept = match read(db, subscriber).await?.transpose() {
        Ok(kept) => kept,
        Err(damaged) => return Ok(Err(SubscribersError::Unavailable(damaged.to_string()))),
    };
    if kept.is_none() && names(db, subscriber).await? >= MAX_NAMES as i64 {
        return Ok(Err(SubscribersError::TooManyNames));
    }
    if let Some(moved) = moved_on(kept.as_ref(), cursor) {
        keep(db, subscriber, &moved).await?;
    }
    Ok(Ok(()))
}

async fn names(db: &mut SqliteConnection, subscriber: &Subscriber) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM subscribers WHERE tenant = ?1 AND user = ?2")
        .bind(subscriber.tenant.as_str())
        .bind(subscriber.user.as_str())
        .fetch_one(db)
        .await
}

async fn keep(db: &mut SqliteConnection, subscriber: &Subscriber, cursor: &Cursor) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO subscribers (tenant, user, name, cursor) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant, user, name) DO UPDATE SET cursor = excluded.cursor",
    )
    .bind(subscriber.tenant.as_str())
    .bind(subscriber.user.as_str())
    .bind(subscriber.name.as_str())
    .bind(cursor.to_string())
    .execute(db)
    .await
    .map(drop)
}

async fn forget(db: &mut SqliteConnection, subscriber: &Subscriber) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM subscribers WHERE tenant = ?1 AND user = ?2 AND name = ?3")
        .bind(subscriber.tenant.as_str())
        .bind(subscriber.user.as_str())
        .bind(subscriber.name.as_str())
        .execute(db)
        .await
        .map(drop)
}
