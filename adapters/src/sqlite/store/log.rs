//! The store's file as the log.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, ReadVector, Seq},
};
use sluice_subscriptions::log::{EventLog, LogError};
use tokio::sync::watch;

use super::{SqliteStore, placement::place, rows::read_event};
use crate::retention;

#[async_trait]
impl EventLog for SqliteStore {
    fn epoch(&self) -> Epoch {
        self.shared.placement.epoch
    }

    fn partitions(&self) -> Partition {
        self.shared.placement.partitions
    }

    fn heads(&self) -> watch::Receiver<ReadVector> {
        self.shared.heads.subscribe()
    }

    async fn earliest(&self) -> Result<ReadVector, LogError> {
        Ok(self.shared.earliest.borrow().clone())
    }

    async fn read(&self, partition: Partition, after: Seq, limit: usize) -> Result<Vec<Arc<RecordedEvent>>, LogError> {
        let readable =
            retention::readable(&self.shared.earliest.borrow(), &self.shared.heads.borrow(), partition, after)?;
        let Some(head) = readable else { return Ok(Vec::new()) };
        match self.shared.recent(partition, after, limit) {
            Some(events) => Ok(events),
            None => self.read_file(partition, after, head, limit).await,
        }
    }
}

impl SqliteStore {
    async fn read_file(
        &self,
        partition: Partition,
        after: Seq,
        head: Seq,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, LogError> {
        let unavailable = |error: &dyn std::fmt::Display| LogError::Unavailable(error.to_string());
        let rows = sqlx::query_as(
            "SELECT place, version, header, payload FROM events WHERE place > ?1 AND place <= ?2 ORDER BY place LIMIT ?3",
        )
        .bind(place(partition, after))
        .bind(place(partition, head))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.readers)
        .await
        .map_err(|error| unavailable(&error))?;
        let events = rows.into_iter().map(|row| read_event(&self.shared.placement, row));
        events.collect::<Result<_, _>>().map_err(|error| unavailable(&error))
    }
}
