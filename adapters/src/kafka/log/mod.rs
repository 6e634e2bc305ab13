//! The topic as the log that gateways read.
//!
//! Each gateway reads all partitions by itself, in no consumer group. The newest events are in memory; what is behind them
//! is read again, found by arithmetic ([`seek`](super::seek)). Kafka's client blocks, so that it has threads of its own:
//! one follows the topic, one knows where it begins, and some read what is behind.

mod beginning;
mod blocks;
mod history;
mod live;
mod look;
mod shared;
mod start;
mod threads;
mod track;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, ReadVector, Seq},
};
use sluice_subscriptions::log::{EventLog, LogError};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};

use self::{beginning::Ask, history::Request, shared::Shared, threads::Threads};
use super::{KafkaOptions, OpenError, topic::expect_partitions};

/// How much a log keeps in memory: the newest events of each partition.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    pub window_events: usize,
    pub window_bytes: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { window_events: 16_384, window_bytes: 32 << 20 }
    }
}

/// An [`EventLog`] on a topic that the relay fills from `source`.
pub struct KafkaLog {
    shared: Arc<Shared>,
    source: Arc<dyn EventLog>,
    threads: Threads,
    fetches: Arc<AtomicU64>,
}

impl KafkaLog {
    /// Follows the topic from its end on. `relayed` is the relay's checkpoint: a partition that retention has emptied does
    /// not tell how far it is.
    ///
    /// # Errors
    /// Kafka does not answer within the deadline, or the topic is not the one that `source` was copied to.
    pub async fn open(kafka: &KafkaOptions, source: Arc<dyn EventLog>, relayed: ReadVector) -> Result<Self, OpenError> {
        Self::open_with(kafka, source, relayed, LogOptions::default()).await
    }

    /// As [`KafkaLog::open`], with another window.
    ///
    /// # Errors
    /// As there.
    pub async fn open_with(
        kafka: &KafkaOptions,
        source: Arc<dyn EventLog>,
        relayed: ReadVector,
        options: LogOptions,
    ) -> Result<Self, OpenError> {
        expect_partitions(kafka, source.partitions()).await?;
        let shared = Arc::new(Shared::new(kafka.clone(), source.epoch(), source.partitions(), options));
        let fetches = Arc::new(AtomicU64::new(0));
        let threads = Threads::start(&shared, &fetches, relayed).await?;
        Ok(Self { shared, source, threads, fetches })
    }

    /// Waits until the log can't be true any more, and says why: the topic was made anew, lost events or holds those of
    /// another store. Reads are refused from then on; a process that starts again learns whether it can go on.
    pub async fn failed(&self) -> String {
        let mut failure = self.shared.failure();
        match failure.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => "the log is gone".into(),
        }
    }

    /// How often Kafka was asked for events that were not in memory any more.
    pub fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::Relaxed)
    }

    /// Stops reading and waits until all clients are gone. Reads that come later are refused.
    pub async fn close(&self) {
        self.shared.close();
        self.threads.join().await;
    }

    fn alive(&self) -> Result<(), LogError> {
        self.shared.over().map_or(Ok(()), |why| Err(LogError::Unavailable(why)))
    }

    /// Waits for a thread's answer, no longer than for Kafka's.
    async fn answer<T>(
        &self,
        reply: impl Future<Output = Result<Result<T, LogError>, oneshot::error::RecvError>>,
    ) -> Result<T, LogError> {
        match timeout(self.shared.kafka.deadline, reply).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(LogError::Unavailable("the log is closed".into())),
            Err(_) => Err(LogError::Unavailable("Kafka: no answer in time".into())),
        }
    }
}

impl Drop for KafkaLog {
    /// The threads end by themselves, a moment later.
    fn drop(&mut self) {
        self.shared.close();
    }
}

#[async_trait]
impl EventLog for KafkaLog {
    fn epoch(&self) -> Epoch {
        self.shared.epoch
    }

    fn partitions(&self) -> Partition {
        self.shared.partitions
    }

    fn heads(&self) -> watch::Receiver<ReadVector> {
        self.shared.heads.subscribe()
    }

    async fn acknowledged(&self) -> Result<ReadVector, LogError> {
        self.source.acknowledged().await
    }

    async fn earliest(&self) -> Result<ReadVector, LogError> {
        self.alive()?;
        let (reply, answer) = oneshot::channel();
        self.threads.ask(Ask(reply))?;
        self.answer(answer).await
    }

    async fn read(&self, partition: Partition, after: Seq, limit: usize) -> Result<Vec<Arc<RecordedEvent>>, LogError> {
        self.alive()?;
        let earliest = self.shared.earliest.borrow().get(partition);
        if after < earliest {
            return Err(LogError::Gap { partition, earliest });
        }
        if after >= self.shared.head(partition) {
            return Ok(Vec::new());
        }
        if let Some(events) = self.shared.window(partition, after, limit) {
            return Ok(events);
        }
        let (reply, answer) = oneshot::channel();
        let deadline = Instant::now() + self.shared.kafka.deadline;
        self.threads.read(Request { partition, after, limit, deadline, reply })?;
        self.answer(answer).await
    }
}
