//! A relay between a source in memory and a topic of its own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use sluice_adapters::kafka::{KafkaOptions, Relay, RelayError, TopicOptions, ensure_topic};
use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, Position, ReadVector},
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

use super::relay_topic::{Record, check, count, read_topic};
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
        spawn_blocking(move || count(&kafka)).await.unwrap()
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
