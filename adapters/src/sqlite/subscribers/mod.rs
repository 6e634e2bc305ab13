//! What the clients of named subscriptions acknowledged: `subscribers.db`.

#[cfg(test)]
mod tests;
mod write;

use async_trait::async_trait;
use sluice_schema::position::Cursor;
use sluice_subscriptions::subscribers::{Subscriber, SubscriberState, SubscribersError};
use sqlx::SqlitePool;

use self::write::{Job, SubscriberWork};
use super::{
    DataDir, OpenError,
    database::{self, Schema},
    wal::Wal,
    writer::Writer,
};

const SCHEMA: Schema =
    Schema { file: "subscribers.db", migrations: &[include_str!("../migrations/subscribers/0001_subscribers.sql")] };

const READERS: u32 = 1;

/// A [`SubscriberState`] on one SQLite file.
pub struct SqliteSubscribers {
    writer: Writer<SubscriberWork>,
    readers: SqlitePool,
}

impl SqliteSubscribers {
    /// Opens `subscribers.db`, or makes it. Must be called within a tokio runtime.
    pub async fn open(directory: &DataDir) -> Result<Self, OpenError> {
        let path = directory.private_file(SCHEMA.file)?;
        let db = database::open(&path, SCHEMA).await?;
        let readers = database::readers(&path, READERS).await?;
        let writer = Writer::start(directory, db, Wal::start(&path).await?, SubscriberWork);
        Ok(Self { writer, readers })
    }

    /// Writes what is queued and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

#[async_trait]
impl SubscriberState for SqliteSubscribers {
    async fn acknowledge(&self, subscriber: &Subscriber, cursor: &Cursor) -> Result<(), SubscribersError> {
        let job = Job::Acknowledge(subscriber.clone(), cursor.clone());
        self.writer.submit_one(job).await.map_err(unavailable)?
    }

    async fn last(&self, subscriber: &Subscriber) -> Result<Option<Cursor>, SubscribersError> {
        let mut connection = self.readers.acquire().await.map_err(unavailable)?;
        let kept = write::read(&mut connection, subscriber).await.map_err(unavailable)?;
        kept.transpose().map_err(unavailable)
    }

    async fn forget(&self, subscriber: &Subscriber) -> Result<(), SubscribersError> {
        self.writer.submit_one(Job::Forget(subscriber.clone())).await.map_err(unavailable)?
    }
}

fn unavailable(error: impl std::fmt::Display) -> SubscribersError {
    SubscribersError::Unavailable(error.to_string())
}
