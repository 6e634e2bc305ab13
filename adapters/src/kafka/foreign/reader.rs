//! Reads a topic and publishes what is in it: at least once by the offsets, and once by the store.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures_util::future::join_all;
use sluice_domain::publishing::{Incoming, PublishError, Published, Publisher};
use tokio_util::sync::CancellationToken;

use super::{
    check::check,
    config::{ConfigSentence, ForeignTopic},
    dead_letter::DeadLetters,
    event::{Rejection, refused},
    inbox::Inbox,
    mapping::Mapping,
    record::Record,
};
use crate::kafka::{KafkaOptions, OpenError, client::count_error};

/// The pause after a first failure; it doubles up to the cap.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Why a topic can't be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    #[error(transparent)]
    Config(#[from] ConfigSentence),
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// The worker of one topic. Many may run, on many nodes: they share the partitions by the consumer group.
pub struct ForeignReader {
    /// `topic` in it is not used.
    pub kafka: KafkaOptions,
    pub topic: ForeignTopic,
    pub publisher: Arc<Publisher>,
}

impl ForeignReader {
    /// Runs until shutdown, which abandons what is not settled: it is read again. May be dropped at any time.
    ///
    /// # Errors
    /// The configuration can't be, or no client can be made with it. Kafka and the store may be away.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ForeignError> {
        check(&self.topic)?;
        let mapping = Mapping::new(&self.topic)?;
        let dead_letters = DeadLetters::new(&self.kafka, &self.topic)?;
        let mut inbox = Inbox::open(&self.kafka, &self.topic)?;
        tokio::select! {
            never = self.work(&mapping, &dead_letters, &mut inbox) => match never {},
            () = shutdown.cancelled() => {}
        }
        inbox.close().await;
        Ok(())
    }

    async fn work(&self, mapping: &Mapping, dead_letters: &DeadLetters, inbox: &mut Inbox) -> Infallible {
        dead_letters.create().await;
        loop {
            let batch = inbox.next_batch().await;
            inbox.hold_during(self.settle(mapping, dead_letters, &batch)).await;
            inbox.settled(&batch);
        }
    }

    /// Ends when each record of the batch is an event in the store, a dead letter, or ignored.
    async fn settle(&self, mapping: &Mapping, dead_letters: &DeadLetters, batch: &[Record]) {
        let (mut places, mut events, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
        for (place, record) in batch.iter().enumerate() {
            match mapping.read(record) {
                Ok(Some(event)) => {
                    places.push(place);
                    events.push(event);
                }
                Ok(None) => self.count("ignored"),
                Err(rejection) => rejected.push((place, rejection)),
            }
        }
        rejected.extend(self.publish(places, events).await);
        rejected.sort_by_key(|(place, _)| *place);
        let letters = rejected.iter().map(|(place, rejection)| self.bury(dead_letters, &batch[*place], rejection));
        join_all(letters).await;
    }

    /// As often as it takes. What the store refuses comes back.
    async fn publish(&self, mut places: Vec<usize>, mut events: Vec<Incoming>) -> Vec<(usize, Rejection)> {
        let mut rejected = Vec::new();
        let mut pause = FIRST_PAUSE;
        while !events.is_empty() {
            let outcomes = self.publisher.publish(&events).await;
            let (mut waiting_places, mut waiting) = (Vec::new(), Vec::new());
            for ((place, event), outcome) in places.into_iter().zip(events).zip(outcomes) {
                match outcome {
                    Ok(Published::Fresh { .. }) => self.count("published"),
                    Ok(Published::Repeated) => self.count("repeated"),
                    Err(PublishError::Refused(refusal)) => rejected.push((place, refused(refusal.to_string()))),
                    Err(error @ PublishError::Conflict) => {
                        rejected.push((place, Rejection { reason: "conflict", detail: error.to_string() }));
                    }
                    Err(error @ PublishError::TooLarge { .. }) => {
                        rejected.push((place, Rejection { reason: "too_large", detail: error.to_string() }));
                    }
                    Err(PublishError::Unavailable(_)) => {
                        waiting_places.push(place);
                        waiting.push(event);
                    }
                }
            }
            (places, events) = (waiting_places, waiting);
            if !events.is_empty() {
                let (topic, waiting) = (self.topic.topic.as_str(), events.len());
                tracing::warn!(topic, waiting, "the store can't take foreign events now; they are tried again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        rejected
    }

    async fn bury(&self, dead_letters: &DeadLetters, record: &Record, rejection: &Rejection) {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = dead_letters.put(record, rejection).await {
            count_error("dead-letters", &error);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.count(rejection.reason);
    }

    fn count(&self, outcome: &'static str) {
        let topic = self.topic.topic.clone();
        metrics::counter!("sluice_foreign_events_total", "topic" => topic, "outcome" => outcome).increment(1);
    }
}
