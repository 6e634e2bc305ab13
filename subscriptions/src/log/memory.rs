//! A log in memory, for tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, Position, ReadVector, Seq},
};
use tokio::sync::watch;

use super::{EventLog, LogError};

/// Everything appended, and nothing forgotten unless [`MemoryLog::forget`] is called.
pub struct MemoryLog {
    epoch: Epoch,
    partitions: Mutex<Vec<Vec<Arc<RecordedEvent>>>>,
    heads: watch::Sender<ReadVector>,
    earliest: Mutex<ReadVector>,
}

impl MemoryLog {
    pub fn new(epoch: Epoch, partitions: Partition) -> Self {
        Self {
            epoch,
            partitions: Mutex::new(vec![Vec::new(); partitions.into()]),
            heads: watch::Sender::new(ReadVector::start(partitions)),
            earliest: Mutex::new(ReadVector::start(partitions)),
        }
    }

    /// Appends to a partition; the event's own position is replaced.
    pub fn append(&self, partition: Partition, event: RecordedEvent) -> Position {
        let position = {
            let mut partitions = self.partitions();
            let events = &mut partitions[usize::from(partition)];
            let position = Position { epoch: self.epoch, partition, seq: events.len() as Seq + 1 };
            events.push(Arc::new(RecordedEvent { position, ..event }));
            position
        };
        self.heads.send_modify(|heads| heads.advance(partition, position.seq));
        position
    }

    /// What is at or before `seq` can no longer be read.
    pub fn forget(&self, partition: Partition, seq: Seq) {
        self.earliest.lock().unwrap_or_else(PoisonError::into_inner).advance(partition, seq);
    }

    fn partitions(&self) -> MutexGuard<'_, Vec<Vec<Arc<RecordedEvent>>>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn partitions(&self) -> Partition {
        Partition::try_from(MemoryLog::partitions(self).len()).expect("made from a Partition")
    }

    fn heads(&self) -> watch::Receiver<ReadVector> {
        self.heads.subscribe()
    }

    async fn earliest(&self) -> Result<ReadVector, LogError> {
        Ok(self.earliest.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn read(&self, partition: Partition, after: Seq, limit: usize) -> Result<Vec<Arc<RecordedEvent>>, LogError> {
        let earliest = self.earliest.lock().unwrap_or_else(PoisonError::into_inner).get(partition);
        if after < earliest {
            return Err(LogError::Gap { partition, earliest });
        }
        let skip = usize::try_from(after).unwrap_or(usize::MAX);
        Ok(self.partitions()[usize::from(partition)].iter().skip(skip).take(limit).cloned().collect())
    }
}
