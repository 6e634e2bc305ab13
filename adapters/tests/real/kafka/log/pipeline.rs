//! A log in memory, relayed to a topic of its own, and the log on that topic.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use sluice_adapters::kafka::{KafkaLog, LogOptions, Relay};
use sluice_schema::position::{Epoch, Partition, Position, ReadVector};
use sluice_subscriptions::log::{Checkpoints, EventLog, LogError, memory::MemoryLog};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::topic::{PARTITIONS, Topic, event};

pub(super) const EPOCH: Epoch = Epoch(0x51_u64 << 56 | 7);

pub(super) const TINY: LogOptions = LogOptions { window_events: 3, window_bytes: 1 << 20 };

/// Checkpoints in memory.
#[derive(Default)]
pub(super) struct Places(Mutex<HashMap<String, ReadVector>>);

#[async_trait]
impl Checkpoints for Places {
    async fn load(&self, worker: &str, _: Epoch) -> Result<Option<ReadVector>, LogError> {
        Ok(self.0.lock().unwrap().get(worker).cloned())
    }

    async fn save(&self, worker: &str, _: Epoch, vector: &ReadVector) -> Result<(), LogError> {
        self.0.lock().unwrap().insert(worker.into(), vector.clone());
        Ok(())
    }
}

pub(super) struct Pipeline {
    pub(super) source: Arc<MemoryLog>,
    pub(super) log: Arc<KafkaLog>,
    pub(super) topic: Topic,
    _relay: AbortOnDropHandle<()>,
}

impl Pipeline {
    pub(super) async fn open(options: LogOptions) -> Self {
        Self::on(Topic::new().await, options).await
    }

    pub(super) async fn on(topic: Topic, options: LogOptions) -> Self {
        let source = empty_source();
        let relay = Relay {
            source: source.clone(),
            checkpoints: Arc::new(Places::default()),
            kafka: topic.kafka.clone(),
            key: [7; 32],
        };
        let run = async move { relay.run(CancellationToken::new()).await.unwrap() };
        let relay = AbortOnDropHandle::new(tokio::spawn(run));
        let log = open(&topic, source.clone(), options).await;
        Self { source, log, topic, _relay: relay }
    }

    /// Appends to a partition without waiting for it to come through.
    pub(super) fn append(&self, partition: Partition, id: &str) -> Position {
        let mut event = event(EPOCH, partition, 0);
        event.header.event_id = id.into();
        self.source.append(partition, event)
    }
}

pub(super) fn empty_source() -> Arc<MemoryLog> {
    Arc::new(MemoryLog::new(EPOCH, PARTITIONS))
}

pub(super) async fn open(topic: &Topic, source: Arc<MemoryLog>, options: LogOptions) -> Arc<KafkaLog> {
    let relayed = ReadVector::start(PARTITIONS);
    Arc::new(KafkaLog::open_with(&topic.kafka, source, relayed, options).await.unwrap())
}

/// Waits until the log has come as far as `vector`.
pub(super) async fn arrives(log: &dyn EventLog, vector: &ReadVector) {
    log.heads().wait_for(|heads| heads.covers(vector)).await.unwrap();
}
