//! A topic, a store and readers of one test.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use sluice_adapters::{
    kafka::{
        KafkaOptions,
        foreign::{ForeignError, ForeignReader, ForeignTopic},
    },
    sqlite::{DataDir, SqliteStore, StoreOptions},
};
use sluice_domain::{
    publishing::Publisher,
    store::{Append, AppendError, Appended, EventStore, MAX_EVENT_BYTES, Page, StoreUnavailable},
    twins::MemoryKeyring,
};
use sluice_schema::{
    event::{RecordedEvent, StreamId},
    ids::TenantId,
    position::ReadVector,
    proto::header::{RoutingKey, Subject},
};
use sluice_subscriptions::log::EventLog;
use tempfile::TempDir;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{error::Elapsed, timeout},
};
use tokio_util::sync::CancellationToken;

use super::messages::Message;
use crate::services;

/// No test waits longer for anything.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// A name that nobody had before.
pub(super) fn name() -> String {
    format!("foreign-test-{:016x}", fastrand::u64(..))
}

pub(super) fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", services::kafka());
    config
}

pub(super) fn admin() -> AdminClient<DefaultClientContext> {
    client().create().unwrap()
}

pub(super) async fn create(topic: &str, partitions: i32, largest: &str) {
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1)).set("max.message.bytes", largest);
    admin().create_topics([&new], &AdminOptions::new()).await.unwrap().pop().unwrap().unwrap();
}

/// Sends in order, and answers with the offsets.
pub(super) async fn send(topic: &str, messages: &[Message]) -> Vec<i64> {
    let mut config = client();
    let producer: FutureProducer =
        config.set("enable.idempotence", "true").set("message.max.bytes", "10000000").create().unwrap();
    let sent = messages.iter().map(|message| {
        let record = FutureRecord::to(topic).partition(message.partition).key(&message.key);
        producer.send_result(record.payload(&message.value).headers(message.headers())).unwrap()
    });
    let sent: Vec<_> = sent.collect();
    let mut offsets = Vec::new();
    for delivery in sent {
        offsets.push(timeout(LONG, delivery).await.unwrap().unwrap().unwrap().offset);
    }
    // Its end waits, and the readers are on this thread.
    tokio::task::spawn_blocking(move || drop(producer));
    offsets
}

/// Where the group would begin, by partition; `None` where it has committed nothing.
pub(super) fn committed(topic: &str, group: &str, partitions: i32) -> Vec<Option<i64>> {
    let consumer: BaseConsumer = client().set("group.id", group).create().unwrap();
    let mut asked = TopicPartitionList::new();
    for partition in 0..partitions {
        asked.add_partition(topic, partition);
    }
    let committed = consumer.committed_offsets(asked, Timeout::After(LONG)).unwrap();
    let offset = |offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
    committed.elements().iter().map(|element| offset(element.offset())).collect()
}

/// The group's members, by the ids that the broker gave them.
pub(super) fn members(group: &str) -> Vec<String> {
    let consumer: BaseConsumer = client().create().unwrap();
    let groups = consumer.fetch_group_list(Some(group), LONG).unwrap();
    groups.groups().iter().flat_map(|group| group.members()).map(|member| member.id().to_owned()).collect()
}

/// What foreign events are appended to.
pub(super) struct Store {
    pub(super) inner: Arc<SqliteStore>,
    pub(super) keyring: Arc<MemoryKeyring>,
    away: Arc<AtomicBool>,
    largest: Arc<AtomicUsize>,
    _directory: TempDir,
}

impl Store {
    pub(super) async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::open(directory.path()).unwrap();
        let inner = Arc::new(SqliteStore::open(&data, StoreOptions::default()).await.unwrap());
        let largest = Arc::new(AtomicUsize::new(MAX_EVENT_BYTES));
        Self { inner, keyring: Arc::default(), away: Arc::default(), largest, _directory: directory }
    }

    /// From now on, or not any more: nothing can be written.
    pub(super) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Events of more bytes are too large.
    pub(super) fn limit_events(&self, largest: usize) {
        self.largest.store(largest, Ordering::SeqCst);
    }

    pub(super) fn count(&self) -> u64 {
        EventLog::heads(self.inner.as_ref()).borrow().0.iter().sum()
    }

    /// Waits until there are so many events.
    pub(super) async fn reaches(&self, count: u64) {
        let mut heads = EventLog::heads(self.inner.as_ref());
        let reached = heads.wait_for(|heads| heads.0.iter().sum::<u64>() >= count);
        timeout(LONG, reached).await.unwrap_or_else(|_| panic!("{} of {count} events", self.count())).unwrap();
    }

    /// Of each partition in turn, in the order of their seqs.
    pub(super) async fn events(&self) -> Vec<Arc<RecordedEvent>> {
        let mut events = Vec::new();
        for partition in 0..self.inner.partitions() {
            events.extend(self.inner.read(partition, 0, 100_000).await.unwrap());
        }
        events
    }

    /// A reader of the topic that appends here.
    pub(super) fn reader(&self, topic: &ForeignTopic) -> Reader {
        let asked = watch::Sender::new(0);
        let (away, largest) = (self.away.clone(), self.largest.clone());
        let store = Arc::new(Door { inner: self.inner.clone(), away, largest, asked: asked.clone() });
        let kafka = KafkaOptions {
            brokers: services::kafka(),
            topic: "not used".into(),
            properties: [].into(),
            client_id: "sluice-test".into(),
            deadline: Duration::from_secs(10),
        };
        let publisher = Arc::new(Publisher::new(store, self.keyring.clone()));
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(ForeignReader { kafka, topic: topic.clone(), publisher }.run(shutdown.clone()));
        Reader { task, shutdown, asked: asked.subscribe() }
    }
}

pub(super) struct Reader {
    task: JoinHandle<Result<(), ForeignError>>,
    shutdown: CancellationToken,
    asked: watch::Receiver<usize>,
}

impl Reader {
    /// Waits until it has asked the store so often.
    pub(super) async fn asks(&mut self, times: usize) {
        timeout(LONG, self.asked.wait_for(|asked| *asked >= times)).await.unwrap().unwrap();
    }

    /// As [`Reader::asks`], within a moment.
    pub(super) async fn try_asks(&mut self, times: usize) -> Result<(), Elapsed> {
        let asked = self.asked.wait_for(|asked| *asked >= times);
        timeout(Duration::from_millis(200), asked).await.map(|asked| drop(asked.unwrap()))
    }

    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        timeout(LONG, self.task).await.unwrap().unwrap().unwrap();
    }

    /// In the middle of whatever it does.
    pub(super) async fn drop_it(self) {
        self.task.abort();
        assert!(timeout(LONG, self.task).await.unwrap().unwrap_err().is_cancelled());
    }
}

/// The store as one reader sees it.
struct Door {
    inner: Arc<SqliteStore>,
    away: Arc<AtomicBool>,
    largest: Arc<AtomicUsize>,
    asked: watch::Sender<usize>,
}

#[async_trait]
impl EventStore for Door {
    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        self.asked.send_modify(|asked| *asked += 1);
        if self.away.load(Ordering::SeqCst) {
            return appends.iter().map(|_| Err(AppendError::Unavailable("away on purpose".into()))).collect();
        }
        let mut outcomes = Vec::new();
        for append in appends {
            outcomes.push(match append.fits(self.largest.load(Ordering::SeqCst)) {
                Ok(()) => self.inner.append(append).await,
                Err(refused) => Err(refused),
            });
        }
        outcomes
    }

    async fn load(&self, tenant: &TenantId, stream: &StreamId) -> Result<Vec<Arc<RecordedEvent>>, StoreUnavailable> {
        self.inner.load(tenant, stream).await
    }

    async fn current(
        &self,
        tenant: &TenantId,
        entities: &[Subject],
    ) -> Result<Vec<Option<Arc<RecordedEvent>>>, StoreUnavailable> {
        self.inner.current(tenant, entities).await
    }

    async fn list(
        &self,
        tenant: &TenantId,
        entity_type: &str,
        routing_key: &RoutingKey,
        page: &Page,
    ) -> Result<Vec<Arc<RecordedEvent>>, StoreUnavailable> {
        self.inner.list(tenant, entity_type, routing_key, page).await
    }

    fn heads(&self) -> ReadVector {
        EventStore::heads(self.inner.as_ref())
    }
}
