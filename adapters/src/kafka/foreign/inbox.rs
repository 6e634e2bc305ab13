//! A topic's consumer: records in batches, and how far they are settled.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use futures_util::FutureExt;
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{Consumer, ConsumerContext, StreamConsumer},
    error::KafkaError,
    types::RDKafkaErrorCode as Code,
};

use super::{config::ForeignTopic, dead_letter::settings, record::Record};
use crate::kafka::{
    KafkaOptions, OpenError,
    client::{Detached, Reports, count_error},
    error::sentence,
};

/// One batch: as much as is there, up to so many records and about so many bytes.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 8 << 20;

/// What a client reports it also mends; no report is worth a loop without a pause.
const AFTER_ERROR: Duration = Duration::from_millis(100);

const CLIENT: &str = "foreign";

/// What the consumer reports, with the topic's name. A right on the group that is missing is told, too: without it
/// nothing is read.
struct Watched {
    topic: String,
    reports: Reports,
}

impl Watched {
    fn of(topic: &str) -> Self {
        Self { topic: topic.into(), reports: Reports::of(CLIENT) }
    }
}

impl ClientContext for Watched {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.reports.log(level, facility, text);
    }

    /// The client says each once, not each time that it tries.
    fn error(&self, error: KafkaError, _: &str) {
        metrics::counter!("sluice_kafka_errors_total", "client" => CLIENT).increment(1);
        let topic = self.topic.as_str();
        if error.rdkafka_error_code() == Some(Code::UnknownTopicOrPartition) {
            tracing::warn!(topic, "the foreign topic is not there: create it; it is read as soon as it is there");
        } else {
            tracing::warn!(topic, "Kafka: {}", sentence(&error));
        }
    }
}

impl ConsumerContext for Watched {}

/// A member of the topic's consumer group.
pub(super) struct Inbox {
    consumer: Detached<StreamConsumer<Watched>>,
    topic: String,
    /// How long a batch may take before the consumer is polled beside it.
    patience: Duration,
    paused: BTreeSet<i32>,
    /// Came in while a batch was being settled.
    early: VecDeque<Record>,
}

impl Inbox {
    pub(super) fn open(kafka: &KafkaOptions, topic: &ForeignTopic) -> Result<Self, OpenError> {
        let mut config = kafka.consumer(&topic.group())?;
        let silence = Duration::from_secs(topic.session_timeout_seconds);
        config
            // A new group begins with what is there, and what was removed by retention is not waited for.
            .set("auto.offset.reset", "earliest")
            // What an aborted transaction wrote has not happened.
            .set("isolation.level", "read_committed")
            // Offsets are stored when they are settled; the client commits those each second, when partitions are taken
            // from it, and at its end.
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "1000")
            .set("session.timeout.ms", silence.as_millis().to_string())
            .set("max.poll.interval.ms", silence.as_millis().to_string())
            // How soon a topic that was missing is found.
            .set("topic.metadata.refresh.interval.ms", "5000")
            .set("queued.max.messages.kbytes", "16384");
        let consumer: StreamConsumer<Watched> =
            config.create_with_context(Watched::of(&topic.topic)).map_err(|error| settings(&error))?;
        consumer.subscribe(&[&topic.topic]).map_err(|error| settings(&error))?;
        Ok(Self {
            consumer: Detached::of(consumer),
            topic: topic.topic.clone(),
            patience: silence / 4,
            paused: BTreeSet::new(),
            early: VecDeque::new(),
        })
    }

    /// Waits for one record and takes what is there behind it.
    pub(super) async fn next_batch(&mut self) -> Vec<Record> {
        let first = match self.early.pop_front() {
            Some(record) => record,
            None => self.receive().await,
        };
        let mut bytes = first.value().len();
        let mut batch = vec![first];
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let Some(record) = self.early.pop_front().or_else(|| self.receive().now_or_never()) else { break };
            bytes += record.value().len();
            batch.push(record);
        }
        batch
    }

    /// Waits for the work. Where it takes long, nothing more is fetched, but the group hears that this member lives:
    /// otherwise it would give the partitions to others, who can do no better while the store is away.
    pub(super) async fn hold_during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = Box::pin(work);
        if let Ok(done) = tokio::time::timeout(self.patience, &mut work).await {
            return done;
        }
        let done = loop {
            self.pause();
            tokio::select! {
                biased;
                done = &mut work => break done,
                // Partitions that came with a rebalance are not paused yet: one record of each.
                record = self.receive() => self.early.push_back(record),
            }
        };
        self.resume();
        done
    }

    /// What is in the batch is never to be read again. Until this is committed it may be, and the store knows it.
    pub(super) fn settled(&self, batch: &[Record]) {
        let behind: BTreeMap<_, _> = batch.iter().map(|record| (record.partition, record.offset + 1)).collect();
        let mut offsets = TopicPartitionList::new();
        let stored = behind
            .into_iter()
            .try_for_each(|(partition, offset)| {
                offsets.add_partition_offset(&self.topic, partition, Offset::Offset(offset))
            })
            .and_then(|()| self.consumer.store_offsets(&offsets));
        match stored {
            // The partitions are another reader's by now, who reads this again.
            Ok(()) | Err(KafkaError::StoreOffset(Code::State | Code::UnknownPartition)) => {}
            Err(error) => count_error(CLIENT, &error),
        }
    }

    /// Commits what is settled and leaves the group, so that others need not wait for the end of the session.
    pub(super) async fn close(self) {
        self.consumer.end().await;
    }

    /// Keeps its place where it is dropped.
    async fn receive(&self) -> Record {
        loop {
            match self.consumer.recv().await {
                Ok(message) => return Record::of(&message),
                // Its context has reported it.
                Err(_) => tokio::time::sleep(AFTER_ERROR).await,
            }
        }
    }

    fn pause(&mut self) {
        let paused = self.consumer.assignment().and_then(|assigned| {
            self.paused.extend(assigned.elements().iter().map(|element| element.partition()));
            self.consumer.pause(&assigned)
        });
        if let Err(error) = paused {
            count_error(CLIENT, &error);
        }
    }

    /// All that were paused, for a partition that went to another reader and comes back is paused still.
    fn resume(&mut self) {
        let mut partitions = TopicPartitionList::new();
        for partition in std::mem::take(&mut self.paused) {
            partitions.add_partition(&self.topic, partition);
        }
        if let Err(error) = self.consumer.resume(&partitions) {
            count_error(CLIENT, &error);
        }
    }
}
