//! A log that is fed by another part, late: a twin for tests.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, ReadVector, Seq},
};
use tokio::sync::watch;

use super::{EventLog, LogError};

/// Shows of a whole log what it was told to, as a topic shows of the store what the relay has brought.
pub struct Fed {
    whole: Arc<dyn EventLog>,
    heads: watch::Sender<ReadVector>,
}

impl Fed {
    /// Nothing has come yet.
    pub fn new(whole: Arc<dyn EventLog>) -> Self {
        let start = ReadVector::start(whole.partitions());
        Self { whole, heads: watch::Sender::new(start) }
    }

    /// Everything up to `seq` of a partition has come.
    pub fn feed(&self, partition: Partition, seq: Seq) {
        self.heads.send_modify(|heads| heads.advance(partition, seq));
    }
}

#[async_trait]
impl EventLog for Fed {
    fn epoch(&self) -> Epoch {
        self.whole.epoch()
    }

    fn partitions(&self) -> Partition {
        self.whole.partitions()
    }

    fn heads(&self) -> watch::Receiver<ReadVector> {
        self.heads.subscribe()
    }

    async fn acknowledged(&self) -> Result<ReadVector, LogError> {
        self.whole.acknowledged().await
    }

    async fn earliest(&self) -> Result<ReadVector, LogError> {
        self.whole.earliest().await
    }

    async fn read(&self, partition: Partition, after: Seq, limit: usize) -> Result<Vec<Arc<RecordedEvent>>, LogError> {
        let head = self.heads.borrow().get(partition);
        let mut events = self.whole.read(partition, after, limit).await?;
        events.retain(|event| event.position.seq <= head);
        Ok(events)
    }
}
