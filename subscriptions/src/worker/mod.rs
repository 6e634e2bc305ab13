//! Durable workers: every event of the log is handled at least once, whatever crashes.
//!
//! Many events are handled at the same time (a payer takes ten seconds), and the checkpoint of a partition stands before the
//! first that is not done. After a crash everything behind the checkpoint is handled again: handlers must bear that.

mod marks;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sluice_schema::{
    event::RecordedEvent,
    position::{Partition, ReadVector, Seq},
};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use self::marks::Marks;
use crate::log::{Checkpoints, EventLog, LogError, reader::Reader};

/// The least time between two checkpoints: each is a commit that delays others.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(500);

/// The pause after a first failure; it doubles up to the cap.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The event could not be handled now; it will be tried again. The text is for the log and holds no values.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HandlerError(pub String);

/// What a worker does with an event.
///
/// - Called at least once for each event that it wants; for one event never twice at the same time.
/// - No order between events is promised.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Whether events of this type are for it; others are passed without a call.
    fn wants(&self, event_type: &str) -> bool;

    async fn handle(&self, event: &RecordedEvent) -> Result<(), HandlerError>;
}

/// A worker and what it works with.
pub struct Worker {
    /// Names its checkpoint: `eligibility`.
    pub name: &'static str,
    pub log: Arc<dyn EventLog>,
    pub checkpoints: Arc<dyn Checkpoints>,
    pub handler: Arc<dyn Handler>,
    /// How many events are handled at the same time.
    pub max_in_flight: usize,
}

impl Worker {
    /// Runs until shutdown, which abandons what is in flight: it is behind the checkpoint.
    ///
    /// # Errors
    /// The log has a hole behind the checkpoint: events are gone that were never handled.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), LogError> {
        tokio::select! {
            result = self.work() => result,
            () = shutdown.cancelled() => Ok(()),
        }
    }

    async fn work(&self) -> Result<(), LogError> {
        let start = self.start().await;
        let mut reader = Reader::new(self.log.clone(), start.clone());
        let mut marks = Marks::new(start);
        let mut running: JoinSet<(Partition, Seq)> = JoinSet::new();
        let permits = Arc::new(Semaphore::new(self.max_in_flight));
        let mut due: Option<Instant> = None;
        loop {
            tokio::select! {
                Some(done) = running.join_next() => {
                    // A handler that panicked is not done: its event stays behind the checkpoint until the next start.
                    if let Ok((partition, seq)) = done {
                        marks.finish(partition, seq);
                        due.get_or_insert_with(|| Instant::now() + CHECKPOINT_EVERY);
                    }
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.save(marks.checkpoint()).await;
                    due = None;
                }
                batch = reader.next_batch(self.max_in_flight), if permits.available_permits() > 0 => match batch {
                    Ok(events) => {
                        for event in events {
                            self.begin(event, &mut marks, &mut running, &permits);
                        }
                        due.get_or_insert_with(|| Instant::now() + CHECKPOINT_EVERY);
                    }
                    Err(LogError::Unavailable(why)) => {
                        tracing::warn!(worker = self.name, why, "the log can't be read");
                        tokio::time::sleep(FIRST_PAUSE).await;
                    }
                    Err(gap) => return Err(gap),
                },
            }
        }
    }

    async fn start(&self) -> ReadVector {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.checkpoints.load(self.name, self.log.epoch()).await {
                Ok(checkpoint) => return checkpoint.unwrap_or_else(|| ReadVector::start(self.log.partitions())),
                Err(error) => tracing::warn!(worker = self.name, %error, "the checkpoint can't be read"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn begin(
        &self,
        event: Arc<RecordedEvent>,
        marks: &mut Marks,
        running: &mut JoinSet<(Partition, Seq)>,
        permits: &Arc<Semaphore>,
    ) {
        let (partition, seq) = (event.position.partition, event.position.seq);
        marks.begin(partition, seq);
        if !self.handler.wants(&event.header.r#type) {
            return marks.finish(partition, seq);
        }
        let (handler, permits, name) = (self.handler.clone(), permits.clone(), self.name);
        running.spawn(async move {
            // The semaphore is never closed.
            let _permit = permits.acquire_owned().await;
            handle(name, handler.as_ref(), &event).await;
            (partition, seq)
        });
    }

    async fn save(&self, vector: ReadVector) {
        if let Err(error) = self.checkpoints.save(self.name, self.log.epoch(), &vector).await {
            // Not saved means handled again after a crash, no more.
            tracing::warn!(worker = self.name, %error, "the checkpoint can't be written");
        }
    }
}

/// Handles one event, as often as it takes.
async fn handle(worker: &str, handler: &dyn Handler, event: &RecordedEvent) {
    let mut pause = FIRST_PAUSE;
    while let Err(error) = handler.handle(event).await {
        metrics::counter!("sluice_worker_retries_total", "worker" => worker.to_owned()).increment(1);
        tracing::warn!(worker, %error, event_id = event.header.event_id, "an event is handled again later");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
