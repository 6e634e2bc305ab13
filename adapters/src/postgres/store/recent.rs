//! The store's log as far back as a retention: what a topic is filled from.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, ReadVector, Seq},
};
use sluice_subscriptions::log::{EventLog, LogError};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::{PostgresStore, retention, spawn};
use crate::{postgres::OpenError, retention::readable};

/// A view of a [`PostgresStore`] that begins later than the store itself.
pub struct RecentLog {
    store: Arc<PostgresStore>,
    earliest: watch::Sender<ReadVector>,
    _applied: AbortOnDropHandle<()>,
}

impl RecentLog {
    /// The store's events that are younger than `retention`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn open(store: Arc<PostgresStore>, retention: Duration) -> Result<Self, OpenError> {
        let (db, heads) = (store.db.clone(), store.shared.heads.clone());
        let earliest = watch::Sender::new(ReadVector::start(store.shared.placement.partitions));
        let applied = retention::apply(&db, &heads, &earliest, retention, Timestamp::now()).await;
        applied.map_err(|why| db.failed(why))?;
        let task = spawn(retention::run(db, heads, earliest.clone(), retention));
        Ok(Self { store, earliest, _applied: task })
    }
}

#[async_trait]
impl EventLog for RecentLog {
    fn epoch(&self) -> Epoch {
        EventLog::epoch(self.store.as_ref())
    }

    fn partitions(&self) -> Partition {
        self.store.partitions()
    }

    fn heads(&self) -> watch::Receiver<ReadVector> {
        EventLog::heads(self.store.as_ref())
    }

    async fn acknowledged(&self) -> Result<ReadVector, LogError> {
        self.store.acknowledged().await
    }

    async fn earliest(&self) -> Result<ReadVector, LogError> {
        Ok(self.earliest.borrow().clone())
    }

    async fn read(&self, partition: Partition, after: Seq, limit: usize) -> Result<Vec<Arc<RecordedEvent>>, LogError> {
        readable(&self.earliest.borrow(), &self.store.shared.heads.borrow(), partition, after)?;
        self.store.read(partition, after, limit).await
    }
}
