//! Reading the log in order, whatever the implementation repeats, shuffles or holds back.

use std::sync::Arc;

use sluice_schema::{
    event::RecordedEvent,
    position::{Partition, ReadVector, Seq},
};
use tokio::sync::watch;

use super::{EventLog, LogError};

/// Follows all partitions from a place on. Each event comes once, and within its partition in order.
pub struct Reader {
    log: Arc<dyn EventLog>,
    heads: watch::Receiver<ReadVector>,
    vector: ReadVector,
    /// Where the next round begins, so that a busy partition does not starve the others.
    next_partition: usize,
}

impl Reader {
    pub fn new(log: Arc<dyn EventLog>, vector: ReadVector) -> Self {
        let heads = log.heads();
        Self { log, heads, vector, next_partition: 0 }
    }

    /// How far it is.
    pub fn vector(&self) -> &ReadVector {
        &self.vector
    }

    /// Waits for events and gives up to `max` of them, at least one. Dropping the future loses nothing.
    ///
    /// # Errors
    /// `Unavailable`: call again later. `Gap`: events are gone for good.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Arc<RecordedEvent>>, LogError> {
        loop {
            let heads = self.heads.borrow_and_update().clone();
            if !self.vector.covers(&heads) {
                let events = self.read_round(&heads, max).await?;
                if !events.is_empty() {
                    return Ok(events);
                }
                // The heads promise what the log did not give yet: ask again, but let others run.
                tokio::task::yield_now().await;
            } else if self.heads.changed().await.is_err() {
                return Err(LogError::Unavailable("the log is closed".into()));
            }
        }
    }

    async fn read_round(&mut self, heads: &ReadVector, max: usize) -> Result<Vec<Arc<RecordedEvent>>, LogError> {
        let count = heads.0.len();
        let mut events: Vec<Arc<RecordedEvent>> = Vec::new();
        let mut read_to = self.vector.clone();
        for partition in
            (0..count).map(|i| (self.next_partition + i) % count).filter_map(|p| Partition::try_from(p).ok())
        {
            if events.len() < max && read_to.get(partition) < heads.get(partition) {
                let more = read_after(self.log.as_ref(), partition, read_to.get(partition), max - events.len()).await?;
                more.iter().for_each(|event| read_to.advance(partition, event.position.seq));
                events.extend(more);
            }
        }
        // Only now, with no await behind it: a dropped future has read nothing.
        self.vector = read_to;
        self.next_partition = (self.next_partition + 1) % count.max(1);
        Ok(events)
    }
}

/// The events right behind `after`: repeats dropped, in order, without a hole. Empty where the log has none to give now.
///
/// # Errors
/// `Gap` where the first event is not the next one.
pub async fn read_after(
    log: &dyn EventLog,
    partition: Partition,
    after: Seq,
    limit: usize,
) -> Result<Vec<Arc<RecordedEvent>>, LogError> {
    let mut events = log.read(partition, after, limit).await?;
    events.retain(|event| event.position.seq > after);
    events.sort_by_key(|event| event.position.seq);
    events.dedup_by_key(|event| event.position.seq);
    if let Some(first) = events.first().filter(|first| first.position.seq != after + 1) {
        return Err(LogError::Gap { partition, earliest: first.position.seq - 1 });
    }
    let dense = (after + 1..).zip(&events).take_while(|(seq, event)| event.position.seq == *seq).count();
    events.truncate(dense);
    Ok(events)
}
