//! Reads a topic and publishes what is in it: at least once by the offsets, and once by the store.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::join_all};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer, StreamConsumer},
};
use sluice_domain::publishing::{Incoming, PublishError, Published, Publisher};
use tokio_util::sync::CancellationToken;

use super::{
    config::{ConfigSentence, ForeignTopic},
    dead_letter::{DeadLetters, settings},
    event::{Rejection, refused},
    mapping::Mapping,
    record::Record,
};
use crate::kafka::{
    KafkaOptions, OpenError,
    client::{Reports, count_error},
};

/// One batch: as much as is there, up to so many records and about so many bytes.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 8 << 20;

/// The pause after a first failure; it doubles up to the cap.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

const CLIENT: &str = "foreign";

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
    /// Whether the topic's configuration can be; asks nobody.
    ///
    /// # Errors
    /// What can't be, by topic and key.
    pub fn check(&self) -> Result<(), ConfigSentence> {
        Mapping::new(&self.topic).map(|_| ())
    }

    /// Runs until shutdown, which abandons what is not committed: it is read again. May be dropped at any time.
    ///
    /// # Errors
    /// The configuration can't be, or no client can be made with it. Kafka and the store may be away.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ForeignError> {
        tokio::select! {
            result = self.work() => result,
            () = shutdown.cancelled() => Ok(()),
        }
    }

    async fn work(&self) -> Result<(), ForeignError> {
        let mapping = Mapping::new(&self.topic)?;
        let dead_letters = DeadLetters::new(&self.kafka, &self.topic.topic, self.topic.dead_letter_topic())?;
        let consumer = self.consumer()?;
        dead_letters.create(&self.kafka).await?;
        let mut pause = FIRST_PAUSE;
        loop {
            let batch = match next_batch(&consumer).await {
                Ok(batch) => batch,
                Err(error) => {
                    count_error(CLIENT, &error);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
            };
            pause = FIRST_PAUSE;
            self.settle(&mapping, &dead_letters, &batch).await;
            self.commit(&consumer, &batch);
        }
    }

    fn consumer(&self) -> Result<StreamConsumer<Reports>, OpenError> {
        let mut config = self.kafka.consumer(&self.topic.group)?;
        // A new group begins with what is there, and nothing is waited for by leaving it out.
        config.set("auto.offset.reset", "earliest").set("queued.max.messages.kbytes", "16384");
        let consumer: StreamConsumer<Reports> =
            config.create_with_context(Reports::of(CLIENT)).map_err(|error| settings(&error))?;
        consumer.subscribe(&[&self.topic.topic]).map_err(|error| settings(&error))?;
        Ok(consumer)
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
            count_error(CLIENT, &error);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.count(rejection.reason);
    }

    /// Not committed means read again, and the store knows what it has.
    fn commit(&self, consumer: &StreamConsumer<Reports>, batch: &[Record]) {
        let last: BTreeMap<_, _> = batch.iter().map(|record| (record.partition, record.offset)).collect();
        let mut offsets = TopicPartitionList::new();
        let committed = last
            .into_iter()
            .try_for_each(|(partition, offset)| {
                offsets.add_partition_offset(&self.topic.topic, partition, Offset::Offset(offset + 1))
            })
            .and_then(|()| consumer.commit(&offsets, CommitMode::Async));
        if let Err(error) = committed {
            count_error(CLIENT, &error);
        }
    }

    fn count(&self, outcome: &'static str) {
        let topic = self.topic.topic.clone();
        metrics::counter!("sluice_foreign_events_total", "topic" => topic, "outcome" => outcome).increment(1);
    }
}

/// Waits for one record and takes what is there behind it.
async fn next_batch(consumer: &StreamConsumer<Reports>) -> Result<Vec<Record>, rdkafka::error::KafkaError> {
    let mut batch = vec![Record::of(&consumer.recv().await?)];
    let mut bytes = batch[0].value().len();
    while batch.len() < BATCH && bytes < BATCH_BYTES {
        match consumer.recv().now_or_never() {
            Some(Ok(message)) => {
                let record = Record::of(&message);
                bytes += record.value().len();
                batch.push(record);
            }
            Some(Err(error)) => {
                count_error(CLIENT, &error);
                break;
            }
            None => break,
        }
    }
    Ok(batch)
}
