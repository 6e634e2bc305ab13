//! A topic of a test's own, and records written into it by hand.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use prost::Message as _;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use sluice_adapters::kafka::{KafkaOptions, TopicOptions, ensure_topic};
use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, Position, Seq},
    proto::header,
    sealed::Sealed,
};
use uuid::Uuid;

use crate::services;

pub(super) const PARTITIONS: Partition = 4;

/// Removed at its end.
pub(super) struct Topic {
    pub(super) kafka: KafkaOptions,
    producer: FutureProducer,
}

impl Topic {
    pub(super) async fn new() -> Self {
        Self::at(&services::kafka()).await
    }

    pub(super) async fn at(brokers: &str) -> Self {
        let kafka = KafkaOptions {
            brokers: brokers.into(),
            topic: format!("log-test-{}", Uuid::now_v7()),
            properties: BTreeMap::new(),
            client_id: "sluice-test".into(),
            deadline: Duration::from_secs(10),
        };
        let producer = client(brokers).set("linger.ms", "0").set("message.max.bytes", "8388608").create().unwrap();
        let topic = Self { kafka, producer };
        topic.make().await;
        topic
    }

    pub(super) async fn make(&self) {
        let options = TopicOptions { partitions: PARTITIONS, replication: 1, retention: Duration::from_secs(3600) };
        ensure_topic(&self.kafka, &options).await.unwrap();
    }

    /// After `remove`: the brokers take a moment to forget its name.
    pub(super) async fn make_again(&self) {
        let options = TopicOptions { partitions: PARTITIONS, replication: 1, retention: Duration::from_secs(3600) };
        while !ensure_topic(&self.kafka, &options).await.is_ok_and(|state| state.created) {
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn remove(&self) {
        let outcome = self.admin().delete_topics(&[&self.kafka.topic], &AdminOptions::new()).await.unwrap();
        assert!(outcome.iter().all(Result::is_ok), "{outcome:?}");
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        client(&self.kafka.brokers).create().unwrap()
    }

    /// Retention passes all records before these offsets.
    pub(super) async fn delete_before(&self, offsets: impl IntoIterator<Item = (Partition, Offset)>) {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(&self.kafka.topic, partition.into(), offset).unwrap();
        }
        self.admin().delete_records(&list, &AdminOptions::new()).await.unwrap();
    }

    /// Writes a record as the format has it; answers when it can be read.
    pub(super) async fn write(&self, event: &RecordedEvent) {
        self.write_all(std::iter::once(event)).await;
    }

    pub(super) async fn write_all<'e>(&self, events: impl IntoIterator<Item = &'e RecordedEvent>) {
        let mut sent = Vec::new();
        for event in events {
            let headers = headers(event);
            let record = FutureRecord::to(&self.kafka.topic)
                .partition(event.position.partition.into())
                .key(&[1_u8; 16][..])
                .payload(event.payload.0.as_ref())
                .headers(headers);
            sent.push(self.producer.send_result(record).map_err(|(error, _)| error).unwrap());
        }
        for sent in sent {
            sent.await.unwrap().map_err(|(error, _)| error).unwrap();
        }
    }

    /// Writes something that is none of ours.
    pub(super) async fn write_foreign(&self, partition: Partition) {
        let record = FutureRecord::to(&self.kafka.topic).partition(partition.into()).key("k").payload("not ours");
        self.producer.send(record, Duration::from_secs(10)).await.unwrap();
    }
}

/// The headers that the format names.
fn headers(event: &RecordedEvent) -> OwnedHeaders {
    let numbers = [
        ("sluice-epoch", event.position.epoch.0),
        ("sluice-seq", event.position.seq),
        ("sluice-version", event.version),
    ];
    let with = |headers: OwnedHeaders, (key, number): (&str, u64)| {
        headers.insert(Header { key, value: Some(&number.to_be_bytes()) })
    };
    let headers = numbers.into_iter().fold(OwnedHeaders::new(), with);
    headers.insert(Header { key: "sluice-header", value: Some(&event.header.encode_to_vec()) })
}

impl Drop for Topic {
    fn drop(&mut self) {
        let (brokers, topic) = (self.kafka.brokers.clone(), self.kafka.topic.clone());
        let remove = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let admin: AdminClient<DefaultClientContext> = client(&brokers).create().unwrap();
            let within = AdminOptions::new().request_timeout(Some(Duration::from_secs(5)));
            // A test may have removed it, or its broker.
            let _ = runtime.block_on(admin.delete_topics(&[&topic], &within));
        };
        // On a thread of its own: here is a runtime already.
        drop(std::thread::spawn(remove).join());
    }
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

/// An event whose header and payload tell its place.
pub(super) fn event(epoch: Epoch, partition: Partition, seq: Seq) -> RecordedEvent {
    let header =
        header::Header { event_id: format!("e-{partition}-{seq}"), tenant: "acme".into(), ..header::Header::default() };
    let payload = Sealed(vec![7; 200].into());
    RecordedEvent { position: Position { epoch, partition, seq }, version: seq, header, payload }
}

pub(super) fn events(
    epoch: Epoch,
    partition: Partition,
    seqs: impl IntoIterator<Item = Seq>,
) -> Vec<Arc<RecordedEvent>> {
    seqs.into_iter().map(|seq| Arc::new(event(epoch, partition, seq))).collect()
}
