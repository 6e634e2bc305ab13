//! The contract over the logs that are in memory.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, Position},
    proto::header::Header,
    sealed::Sealed,
};

use super::Fixture;
use crate::log::{EventLog, hostile::Hostile, memory::MemoryLog};

const PARTITIONS: Partition = 4;

struct InMemory {
    log: Arc<dyn EventLog>,
    memory: Arc<MemoryLog>,
}

#[async_trait]
impl Fixture for InMemory {
    fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    async fn append(&self, event_id: &str) -> Position {
        let partition = event_id.bytes().fold(0, |sum, b| (sum * 31 + Partition::from(b)) % PARTITIONS);
        let position = Position { epoch: self.memory.epoch(), partition, seq: 0 };
        let header = Header { event_id: event_id.into(), ..Header::default() };
        self.memory
            .append(partition, RecordedEvent { position, version: 1, header, payload: Sealed(Vec::new().into()) })
    }

    async fn forget(&self) {
        let heads = self.memory.heads().borrow().clone();
        heads.partitions().for_each(|(partition, head)| self.memory.forget(partition, head));
    }
}

mod plain {
    use super::*;

    async fn open() -> InMemory {
        let memory = Arc::new(MemoryLog::new(Epoch(7), PARTITIONS));
        InMemory { log: memory.clone(), memory }
    }

    event_log_contract!(open);
}

/// As [`plain`], with all that the port allows.
macro_rules! hostile {
    ($($name:ident: $seed:literal),+) => {$(
        mod $name {
            use super::*;

            async fn open() -> InMemory {
                let memory = Arc::new(MemoryLog::new(Epoch(7), PARTITIONS));
                InMemory { log: Arc::new(Hostile::new(memory.clone(), $seed)), memory }
            }

            event_log_contract!(open);
        }
    )+};
}

hostile!(hostile_1: 1, hostile_2: 2, hostile_3: 3, hostile_4: 4);
