//! The contract suites of the ports.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use sluice_adapters::postgres::PostgresStore;
use sluice_domain::store::EventStore;
use sluice_schema::position::Position;
use sluice_subscriptions::log::{Checkpoints, EventLog, contract::Fixture, hostile::Hostile};

use super::database::{Database, append};

struct Log {
    store: Arc<PostgresStore>,
    log: Arc<dyn EventLog>,
    _database: Database,
}

impl Log {
    async fn open(seed: Option<u64>) -> Self {
        let database = Database::migrated().await;
        let store = Arc::new(database.store().await);
        let log: Arc<dyn EventLog> = match seed {
            Some(seed) => Arc::new(Hostile::new(store.clone(), seed)),
            None => store.clone(),
        };
        Self { store, log, _database: database }
    }
}

#[async_trait]
impl Fixture for Log {
    fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    async fn append(&self, event_id: &str) -> Position {
        append(self.store.as_ref(), event_id).await
    }

    async fn forget(&self) {
        let later = Timestamp::now() + SignedDuration::from_hours(1);
        self.store.apply_retention(Duration::ZERO, later).await.unwrap();
    }
}

mod store {
    use super::*;

    async fn open() -> (Arc<dyn EventStore>, Database) {
        let database = Database::migrated().await;
        (Arc::new(database.store().await), database)
    }

    sluice_domain::event_store_contract!(open);
}

mod checkpoints {
    use super::*;

    async fn open() -> (Arc<dyn Checkpoints>, Database) {
        let database = Database::migrated().await;
        (Arc::new(database.store().await), database)
    }

    sluice_subscriptions::checkpoints_contract!(open);
}

mod log {
    use super::*;

    async fn open() -> Log {
        Log::open(None).await
    }

    sluice_subscriptions::event_log_contract!(open);
}

mod hostile_log {
    use super::*;

    async fn open() -> Log {
        Log::open(Some(1)).await
    }

    sluice_subscriptions::event_log_contract!(open);
}
