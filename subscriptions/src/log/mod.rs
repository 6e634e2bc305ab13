//! The log that everything is delivered from: the port.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
#[cfg(any(test, feature = "contract"))]
pub mod fed;
#[cfg(any(test, feature = "contract"))]
pub mod hostile;
#[cfg(any(test, feature = "contract"))]
pub mod memory;
pub mod reader;

use std::sync::Arc;

use async_trait::async_trait;
use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, ReadVector, Seq},
};
use tokio::sync::watch;

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the log can't be read now: {0}")]
    Unavailable(String),
    /// Events behind the asked place are gone: retention has passed them.
    #[error("the log begins behind seq {earliest} of partition {partition}")]
    Gap { partition: Partition, earliest: Seq },
}

/// An ordered, partitioned, durable log of events.
///
/// - Within a partition `seq` is dense, from 1, and in commit order. Between partitions there is no order.
/// - An event that can be read is durable. `heads` moves only after that, and never past an event that can't yet be read.
/// - `read` may repeat what was read before and may answer with fewer than there are (a hostile twin does both); the reader
///   drops every seq that is not above its own, and takes a jump as a gap.
/// - A future may be dropped at any await without effect.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Fixed for the life of this value.
    fn epoch(&self) -> Epoch;

    fn partitions(&self) -> Partition;

    /// The last seq of each partition; changes wake readers.
    fn heads(&self) -> watch::Receiver<ReadVector>;

    /// How far the log will be once everything that was acknowledged has reached it: at `heads`, or ahead of them where the log
    /// is fed by another part. A cursor beyond it is not of this log.
    async fn acknowledged(&self) -> Result<ReadVector, LogError> {
        Ok(self.heads().borrow().clone())
    }

    /// For each partition the last seq that can no longer be read; a reader at or behind that place misses nothing more.
    async fn earliest(&self) -> Result<ReadVector, LogError>;

    /// Up to `limit` events of one partition with a seq above `after`, in order; empty at the end.
    async fn read(&self, partition: Partition, after: Seq, limit: usize) -> Result<Vec<Arc<RecordedEvent>>, LogError>;
}

/// How far durable workers are. A checkpoint belongs to one epoch: a new one starts over.
#[async_trait]
pub trait Checkpoints: Send + Sync {
    async fn load(&self, worker: &str, epoch: Epoch) -> Result<Option<ReadVector>, LogError>;

    /// Answers when it is durable.
    async fn save(&self, worker: &str, epoch: Epoch, vector: &ReadVector) -> Result<(), LogError>;
}
