//! The store's events as the log.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, ReadVector, Seq},
};
use sluice_subscriptions::log::{EventLog, LogError};
use tokio::sync::watch;

use super::{
    PostgresStore,
    follow::read_heads,
    rows::{EventRow, read_event},
};
use crate::retention;

const READ: &str = "SELECT partition, seq, version, header, payload FROM sluice.events
     WHERE partition = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4";

#[async_trait]
impl EventLog for PostgresStore {
    fn epoch(&self) -> Epoch {
        self.shared.placement.epoch
    }

    fn partitions(&self) -> Partition {
        self.shared.placement.partitions
    }

    fn heads(&self) -> watch::Receiver<ReadVector> {
        self.shared.heads.subscribe()
    }

    /// What another node has acknowledged may not have been heard of here yet: the heads are read anew.
    async fn acknowledged(&self) -> Result<ReadVector, LogError> {
        let heads = self.db.within(read_heads(self.db.pool())).await.map_err(unavailable)?;
        self.shared.advance(&heads);
        Ok(heads)
    }

    async fn earliest(&self) -> Result<ReadVector, LogError> {
        Ok(self.shared.earliest.borrow().clone())
    }

    async fn read(&self, partition: Partition, after: Seq, limit: usize) -> Result<Vec<Arc<RecordedEvent>>, LogError> {
        let readable =
            retention::readable(&self.shared.earliest.borrow(), &self.shared.heads.borrow(), partition, after)?;
        let Some(head) = readable else { return Ok(Vec::new()) };
        if let Some(events) = self.shared.window().read(partition, after, limit) {
            return Ok(events);
        }
        let query = sqlx::query_as::<_, EventRow>(READ)
            .bind(i32::from(partition))
            .bind(after.cast_signed())
            .bind(head.cast_signed())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = self.db.within(query.fetch_all(self.db.pool())).await.map_err(unavailable)?;
        let events = rows.into_iter().map(|row| read_event(&self.shared.placement, row));
        let events = events.collect::<Result<Vec<_>, _>>().map_err(unavailable)?;
        // Whoever reads behind the head has others behind her, who will ask for the same.
        self.shared.keep(&events);
        Ok(events)
    }
}

pub(super) fn unavailable(why: impl std::fmt::Display) -> LogError {
    LogError::Unavailable(why.to_string())
}
