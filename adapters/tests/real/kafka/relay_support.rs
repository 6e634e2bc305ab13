//! A source, a topic of one's own, and what is in it, read by a plain consumer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use jiff::Timestamp;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    message::{self, BorrowedMessage, Headers as _},
};
use sluice_adapters::kafka::{KafkaOptions, Relay, RelayError, TopicOptions, ensure_topic};
use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, Position, ReadVector, Seq},
    proto::header::{Header, RoutingKey, Subject, routing_key::Kind},
    sealed::{DataKey, Sealed},
};
use sluice_subscriptions::log::{Checkpoints, EventLog, LogError, memory::MemoryLog};
use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::services;

pub(super) const PARTITIONS: Partition = 3;
pub(super) const EPOCH: Epoch = Epoch(0x1234_5678_9abc_def0);
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// What must be nowhere in the clear.
pub(super) const SECRET: &str = "CANARY-diagnosis-E11.9";

/// The one checkpoint, in memory. A save that is told to hang never ends.
pub(super) struct Saved {
    pub(super) vector: watch::Sender<Option<ReadVector>>,
    pub(super) hangs: watch::Sender<bool>,
}

#[async_trait]
impl Checkpoints for Saved {
    async fn load(&self, worker: &str, epoch: Epoch) -> Result<Option<ReadVector>, LogError> {
        assert_eq!(worker, Relay::CHECKPOINT);
        Ok(self.vector.borrow().clone().filter(|_| epoch == EPOCH))
    }

    async fn save(&self, worker: &str, _: Epoch, vector: &ReadVector) -> Result<(), LogError> {
        assert_eq!(worker, Relay::CHECKPOINT);
        self.hangs.subscribe().wait_for(|hangs| !hangs).await.unwrap();
        self.vector.send_replace(Some(vector.clone()));
        Ok(())
    }
}

/// A relay's surroundings.
pub(super) struct Rig {
    pub(super) source: Arc<MemoryLog>,
    pub(super) saved: Arc<Saved>,
    pub(super) kafka: KafkaOptions,
    appended: Mutex<u64>,
}

impl Rig {
    pub(super) async fn new() -> Self {
        Self::at(&services::kafka()).await
    }

    pub(super) async fn at(brokers: &str) -> Self {
        let rig = Self {
            source: Arc::new(MemoryLog::new(EPOCH, PARTITIONS)),
            saved: Arc::new(Saved { vector: watch::Sender::new(None), hangs: watch::Sender::new(false) }),
            kafka: Self::options(brokers),
            appended: Mutex::new(0),
        };
        rig.make_topic().await;
        rig
    }

    /// With a topic of its own.
    pub(super) fn options(brokers: &str) -> KafkaOptions {
        KafkaOptions {
            brokers: brokers.into(),
            topic: format!("relay-{}", Uuid::now_v7()),
            properties: BTreeMap::new(),
            client_id: "sluice-test".into(),
            deadline: Duration::from_secs(10),
        }
    }

    pub(super) async fn make_topic(&self) {
        let options =
            TopicOptions { partitions: PARTITIONS, replication: 1, retention: Duration::from_secs(24 * 60 * 60) };
        ensure_topic(&self.kafka, &options).await.unwrap();
    }

    pub(super) async fn delete_topic(&self) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.kafka.brokers).create().unwrap();
        admin.delete_topics(&[&self.kafka.topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    }

    pub(super) fn relay(&self) -> Relay {
        self.relay_of(self.source.clone())
    }

    pub(super) fn relay_of(&self, source: Arc<dyn EventLog>) -> Relay {
        Relay { source, checkpoints: self.saved.clone(), kafka: self.kafka.clone(), key: [7; 32] }
    }

    /// Appends events of different members, of different sizes, to all partitions.
    pub(super) fn append(&self, count: u64) {
        for _ in 0..count {
            let number = {
                let mut appended = self.appended.lock().unwrap();
                *appended += 1;
                *appended
            };
            let partition = Partition::try_from(number % u64::from(PARTITIONS)).unwrap();
            self.source.append(partition, event(number));
        }
    }

    pub(super) fn heads(&self) -> ReadVector {
        self.source.heads().borrow().clone()
    }

    /// Everything is confirmed, and that is saved.
    pub(super) async fn caught_up(&self) {
        let heads = self.heads();
        let mut saved = self.saved.vector.subscribe();
        let covered = saved.wait_for(|saved| saved.as_ref().is_some_and(|saved| saved.covers(&heads)));
        timeout(PATIENCE, covered).await.expect("the relay does not catch up").unwrap();
    }

    /// Relays until everything is confirmed.
    pub(super) async fn relay_all(&self) {
        let running = Running::start(self.relay());
        self.caught_up().await;
        running.stop().await.unwrap();
    }

    /// What the topic holds, by partition.
    pub(super) async fn records(&self) -> Vec<Vec<Record>> {
        let kafka = self.kafka.clone();
        spawn_blocking(move || read_topic(&kafka)).await.unwrap()
    }

    /// How many records each partition holds.
    pub(super) async fn counts(&self) -> Vec<i64> {
        let kafka = self.kafka.clone();
        let edges = spawn_blocking(move || edges(&kafka, &consumer(&kafka))).await.unwrap();
        edges.into_iter().map(|(low, high)| high - low).collect()
    }

    /// Waits until it holds so many.
    pub(super) async fn topic_holds(&self, count: i64) {
        let wait = async { while self.counts().await.into_iter().sum::<i64>() < count {} };
        timeout(PATIENCE, wait).await.expect("the records do not come");
    }

    /// Everything is there, in order; gives how many records are repeats.
    pub(super) async fn check(&self) -> usize {
        check(&self.records().await, self.source.as_ref()).await
    }
}

/// As [`Rig::check`], of any source.
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

pub(super) fn event(number: u64) -> RecordedEvent {
    let header = Header {
        event_id: format!("e-{number}"),
        tenant: "tenant-acme".into(),
        subject: Some(Subject { r#type: "Check".into(), id: format!("c-{number}") }),
        routing_key: Some(RoutingKey { kind: Kind::Member.into(), id: format!("member-{}", number % 10) }),
        published_at: Some(published_at(number)),
        ..Header::default()
    };
    let secret = SECRET.repeat(usize::try_from(number % 40).unwrap() + 1);
    let payload: Sealed = DataKey::new(&[9; 32]).seal(&header, secret.as_bytes()).unwrap();
    RecordedEvent { position: Position { epoch: EPOCH, partition: 0, seq: 0 }, version: number, header, payload }
}

/// Now; in the far future for a few.
fn published_at(number: u64) -> prost_types::Timestamp {
    let now = Timestamp::now();
    let ahead = if number.is_multiple_of(7) { 1_000_000 } else { 0 };
    prost_types::Timestamp { seconds: now.as_second() + ahead, nanos: now.subsec_nanosecond() }
}

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
        use prost::Message as _;
        assert_eq!(self.headers["sluice-epoch"], event.position.epoch.0.to_be_bytes());
        assert_eq!(self.headers["sluice-version"], event.version.to_be_bytes());
        assert_eq!(self.headers["sluice-header"], event.header.encode_to_vec());
        assert_eq!(self.headers.len(), 4);
        assert_eq!(self.value, event.payload.0);
        assert_eq!(self.key.len(), 16);
        let published = event.header.published_at.unwrap();
        let published = published.seconds * 1000 + i64::from(published.nanos) / 1_000_000;
        assert_eq!(self.timestamp, published.min(self.timestamp), "no later than it was published");
        assert!(self.timestamp == published || self.timestamp <= Timestamp::now().as_millisecond());
    }
}

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
        let message = message.unwrap();
        records[usize::try_from(message.partition()).unwrap()].push(Record::of(&message));
        left -= 1;
    }
    records
}

/// A relay at work.
pub(super) struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RelayError>>,
}

impl Running {
    pub(super) fn start(relay: Relay) -> Self {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { relay.run(shutdown).await }
        });
        Self { shutdown, task }
    }

    pub(super) async fn stop(self) -> Result<(), RelayError> {
        self.shutdown.cancel();
        self.ended().await
    }

    /// Its end, which nobody asked for.
    pub(super) async fn ended(self) -> Result<(), RelayError> {
        timeout(PATIENCE, self.task).await.expect("the relay does not end").unwrap()
    }
}
