//! The contract of the log: from memory, from Kafka, and through its hostile twin.

use std::sync::Arc;

use async_trait::async_trait;
use rdkafka::Offset;
use sluice_adapters::kafka::LogOptions;
use sluice_schema::position::{Partition, Position};
use sluice_subscriptions::log::{EventLog, contract::Fixture, hostile::Hostile};

use super::{
    pipeline::{Pipeline, TINY},
    topic::PARTITIONS,
};

struct Relayed {
    log: Arc<dyn EventLog>,
    pipeline: Pipeline,
}

impl Relayed {
    async fn open(options: LogOptions, seed: Option<u64>) -> Self {
        let pipeline = Pipeline::open(options).await;
        let log: Arc<dyn EventLog> = match seed {
            Some(seed) => Arc::new(Hostile::new(pipeline.log.clone(), seed)),
            None => pipeline.log.clone(),
        };
        Self { log, pipeline }
    }
}

#[async_trait]
impl Fixture for Relayed {
    fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    async fn append(&self, event_id: &str) -> Position {
        let partition = event_id.bytes().map(Partition::from).sum::<Partition>() % PARTITIONS;
        let position = self.pipeline.append(partition, event_id);
        let mut heads = self.log.heads();
        heads.wait_for(|heads| heads.get(partition) >= position.seq).await.unwrap();
        position
    }

    async fn forget(&self) {
        self.pipeline.topic.delete_before((0..PARTITIONS).map(|partition| (partition, Offset::End))).await;
    }
}

mod from_memory {
    use super::*;

    async fn empty() -> Relayed {
        Relayed::open(LogOptions::default(), None).await
    }

    sluice_subscriptions::event_log_contract!(empty);
}

mod from_kafka {
    use super::*;

    async fn empty() -> Relayed {
        Relayed::open(TINY, None).await
    }

    sluice_subscriptions::event_log_contract!(empty);
}

mod hostile {
    use super::*;

    async fn empty() -> Relayed {
        Relayed::open(TINY, Some(11)).await
    }

    sluice_subscriptions::event_log_contract!(empty);
}
