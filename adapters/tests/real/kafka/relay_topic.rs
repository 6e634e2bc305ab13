//! What a topic holds, read by a plain consumer.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use prost::Message as _;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::{self, BorrowedMessage, Headers as _},
};
use sluice_adapters::kafka::KafkaOptions;
use sluice_schema::{event::RecordedEvent, position::Seq};
use sluice_subscriptions::log::EventLog;

use super::relay_support::{PARTITIONS, PATIENCE};

/// A record as anyone sees it.
pub(super) struct Record {
    pub(super) seq: Seq,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) headers: BTreeMap<String, Vec<u8>>,
    timestamp: i64,
}

impl Record {
    pub(super) fn of(message: &BorrowedMessage<'_>) -> Self {
        let header = |header: message::Header<'_, &[u8]>| (header.key.to_owned(), header.value.unwrap().to_vec());
        let headers: BTreeMap<String, Vec<u8>> = message.headers().unwrap().iter().map(header).collect();
        Self {
            seq: Seq::from_be_bytes(headers["sluice-seq"].as_slice().try_into().unwrap()),
            key: message.key().unwrap().to_vec(),
            value: message.payload().unwrap().to_vec(),
            headers,
            timestamp: message.timestamp().to_millis().unwrap(),
        }
    }

    fn assert_is(&self, event: &RecordedEvent) {
        assert_eq!(self.headers["sluice-epoch"], event.position.epoch.0.to_be_bytes());
        assert_eq!(self.headers["sluice-version"], event.version.to_be_bytes());
        assert_eq!(self.headers["sluice-header"], event.header.encode_to_vec());
        assert_eq!(self.headers.len(), 4);
        assert_eq!(self.value, event.payload.0);
        assert_eq!(self.key.len(), 16);
        let published = event.header.published_at.unwrap();
        let published = published.seconds * 1000 + i64::from(published.nanos) / 1_000_000;
        let now = Timestamp::now().as_millisecond();
        if published <= now {
            assert_eq!(self.timestamp, published);
        } else {
            assert!((now - 600_000..=now).contains(&self.timestamp), "when it was sent, not {}", self.timestamp);
        }
    }
}

/// One that no group knows.
fn consumer(kafka: &KafkaOptions) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", &kafka.brokers)
        .set("group.id", "sluice-test")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap()
}

/// The first offset of each partition and the one behind its last.
fn edges(kafka: &KafkaOptions, consumer: &BaseConsumer) -> Vec<(i64, i64)> {
    let edges = |partition| consumer.fetch_watermarks(&kafka.topic, partition, PATIENCE).unwrap();
    (0..i32::from(PARTITIONS)).map(edges).collect()
}

/// How many records each partition holds.
pub(super) fn count(kafka: &KafkaOptions) -> Vec<i64> {
    edges(kafka, &consumer(kafka)).into_iter().map(|(low, high)| high - low).collect()
}

/// All records, by partition.
pub(super) fn read_topic(kafka: &KafkaOptions) -> Vec<Vec<Record>> {
    let consumer = consumer(kafka);
    let (mut assignment, mut left) = (TopicPartitionList::new(), 0);
    for (partition, (low, high)) in (0..).zip(edges(kafka, &consumer)) {
        assignment.add_partition_offset(&kafka.topic, partition, Offset::Offset(low)).unwrap();
        left += high - low;
    }
    consumer.assign(&assignment).unwrap();
    let mut records: Vec<Vec<Record>> = (0..PARTITIONS).map(|_| Vec::new()).collect();
    let until = Instant::now() + PATIENCE;
    while left > 0 {
        assert!(Instant::now() < until, "{left} records do not come");
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        // A broker that hung is told as a fault of the connection once; the consumer connects again by itself.
        let Ok(message) = message else { continue };
        records[usize::try_from(message.partition()).unwrap()].push(Record::of(&message));
        left -= 1;
    }
    records
}

/// All of the source is there, in order; gives how many records are repeats.
pub(super) async fn check(records: &[Vec<Record>], source: &dyn EventLog) -> usize {
    let heads = source.heads().borrow().clone();
    let mut repeats = 0;
    for ((partition, head), records) in heads.partitions().zip(records) {
        let events = source.read(partition, 0, 1_000_000).await.unwrap();
        repeats += check_partition(records, &events, head);
    }
    repeats
}

/// First occurrences are dense and in order, and each record is its event.
fn check_partition(records: &[Record], events: &[Arc<RecordedEvent>], head: Seq) -> usize {
    let mut last = 0;
    for record in records {
        assert!(record.seq <= last + 1, "{} is behind {last}: a hole", record.seq);
        last = last.max(record.seq);
        record.assert_is(&events[usize::try_from(record.seq).unwrap() - 1]);
    }
    assert_eq!(last, head, "not all is there");
    records.len() - usize::try_from(head).unwrap()
}
