//! The producer, and what it says of each record.

use std::thread;

use jiff::Timestamp;
use rdkafka::{
    ClientContext, Message as _,
    config::RDKafkaLogLevel,
    error::KafkaError,
    producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer},
};
use sluice_schema::{
    event::RecordedEvent,
    position::{Partition, Seq},
};
use tokio::sync::mpsc;

use crate::kafka::{
    client::{KafkaOptions, Reports, count_error},
    error::OpenError,
    record::{self, Keys},
    topic::MAX_RECORD_BYTES,
};

const CLIENT: &str = "relay";

/// What became of a record.
pub(super) struct Delivery {
    pub(super) partition: Partition,
    pub(super) seq: Seq,
    /// Its offset; `None` where Kafka had the record already and does not tell.
    pub(super) outcome: Result<Option<i64>, KafkaError>,
}

pub(super) type Deliveries = mpsc::UnboundedReceiver<Delivery>;

/// Sends events as records, in the order of the calls; what was accepted comes back as a [`Delivery`], or the producer is
/// dropped.
pub(super) struct Outbox {
    /// There until the drop.
    producer: Option<ThreadedProducer<Context>>,
    topic: String,
    keys: Keys,
}

impl Outbox {
    pub(super) fn open(kafka: &KafkaOptions, key: &[u8; 32]) -> Result<(Self, Deliveries), OpenError> {
        let (delivered, deliveries) = mpsc::unbounded_channel();
        let context = Context { reports: Reports::of(CLIENT), delivered };
        let producer = kafka
            .producer()?
            // A record that fails stops those behind it.
            .set("enable.gapless.guarantee", "true")
            // What is in flight is bounded here, by partition.
            .set("queue.buffering.max.messages", "0")
            .set("message.max.bytes", MAX_RECORD_BYTES.to_string())
            .set("topic.metadata.propagation.max.ms", kafka.deadline.as_millis().to_string())
            .create_with_context(context)
            .map_err(|error| kafka.refused(&error))?;
        Ok((Self { producer: Some(producer), topic: kafka.topic.clone(), keys: Keys::new(key) }, deliveries))
    }

    pub(super) fn send(&self, event: &RecordedEvent) -> Result<(), KafkaError> {
        let producer = self.producer.as_ref().ok_or(KafkaError::Canceled)?;
        let (partition, seq) = (event.position.partition, event.position.seq);
        let key = self.keys.of(&event.header);
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new((partition, seq)))
            .partition(partition.into())
            .key(key.as_slice())
            .payload(event.payload.0.as_ref())
            .headers(record::headers(event));
        let record = match record::timestamp(event) {
            // Brokers refuse a time that is well ahead of theirs, and a store's clock must not hold up its events.
            Some(at) => record.timestamp(at.min(Timestamp::now().as_millisecond())),
            None => record,
        };
        producer.send(record).map_err(|(error, _)| {
            count_error(CLIENT, &error);
            error
        })
    }
}

/// A producer's end waits for its threads, and that may take as long as a broker that hangs.
impl Drop for Outbox {
    fn drop(&mut self) {
        let producer = self.producer.take();
        thread::spawn(move || drop(producer));
    }
}

struct Context {
    reports: Reports,
    delivered: mpsc::UnboundedSender<Delivery>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.reports.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reports.error(error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<(Partition, Seq)>;

    fn delivery(&self, result: &DeliveryResult<'_>, of: Self::DeliveryOpaque) {
        let outcome = match result {
            Ok(record) => Ok(Some(record.offset()).filter(|offset| *offset >= 0)),
            Err((error, _)) => Err(error.clone()),
        };
        // Nobody waits any more where the session is over.
        let _ = self.delivered.send(Delivery { partition: of.0, seq: of.1, outcome });
    }
}
