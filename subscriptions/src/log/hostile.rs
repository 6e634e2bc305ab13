//! A log that does all that the contract allows and a reader may hope it does not: a twin for tests.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, ReadVector, Seq},
};
use tokio::sync::watch;

use super::{EventLog, LogError};

/// Repeats older events, answers with fewer than there are or with none, and lets a partition wait while others go on. It
/// never alters, reorders or leaves out an event, and every event comes in the end. What it does follows from the seed and
/// the order of the reads.
pub struct Hostile<L: ?Sized> {
    log: Arc<L>,
    seed: u64,
    reads: AtomicU64,
}

/// One in so many turns of a partition are spent waiting, whatever is asked.
const TURN: u64 = 4;

/// The most older events that are repeated.
const REPEATS: u64 = 8;

impl<L: EventLog + ?Sized> Hostile<L> {
    pub fn new(log: Arc<L>, seed: u64) -> Self {
        Self { log, seed, reads: AtomicU64::new(0) }
    }

    /// Where to begin in truth: at `after`, or some events before it.
    async fn begin(&self, partition: Partition, after: Seq, chance: u64) -> Result<Seq, LogError> {
        let earliest = self.log.earliest().await?.get(partition);
        Ok(after.saturating_sub(chance % REPEATS).max(earliest).min(after))
    }
}

#[async_trait]
impl<L: EventLog + ?Sized> EventLog for Hostile<L> {
    fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    fn partitions(&self) -> Partition {
        self.log.partitions()
    }

    fn heads(&self) -> watch::Receiver<ReadVector> {
        self.log.heads()
    }

    async fn earliest(&self) -> Result<ReadVector, LogError> {
        self.log.earliest().await
    }

    async fn read(&self, partition: Partition, after: Seq, limit: usize) -> Result<Vec<Arc<RecordedEvent>>, LogError> {
        let read = self.reads.fetch_add(1, Ordering::Relaxed);
        let chance = mix(self.seed ^ read);
        // A whole turn is lost by one partition, then by the next.
        if (read / TURN + u64::from(partition)).is_multiple_of(TURN) || chance.is_multiple_of(5) {
            // What is gone is told all the same.
            return self.log.read(partition, after, limit).await.map(|_| Vec::new());
        }
        let from = self.begin(partition, after, chance >> 8).await?;
        let mut events = self.log.read(partition, from, limit).await?;
        if chance.is_multiple_of(3) {
            let some = (chance >> 16) as usize % (events.len() + 1);
            events.truncate(some);
        }
        Ok(events)
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
