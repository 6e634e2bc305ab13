//! The contracts of all three ports, and that of the log once more through its hostile twin and from the file.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use sluice_domain::store::EventStore;
use sluice_schema::position::Position;
use sluice_subscriptions::log::{Checkpoints, EventLog, contract::Fixture, hostile::Hostile};

use super::{SqliteStore, StoreOptions, append, open, shared};
use crate::sqlite::test_support::Home;

mod store {
    use super::*;

    async fn empty() -> (Arc<dyn EventStore>, Home) {
        let home = Home::new();
        (shared(open(&home).await), home)
    }

    sluice_domain::event_store_contract!(empty);
}

mod checkpoints {
    use super::*;

    async fn none() -> (Arc<dyn Checkpoints>, Home) {
        let home = Home::new();
        (shared(open(&home).await), home)
    }

    sluice_subscriptions::checkpoints_contract!(none);
}

struct OnDisk {
    log: Arc<dyn EventLog>,
    store: Arc<SqliteStore>,
    _home: Home,
}

impl OnDisk {
    async fn open(options: StoreOptions, seed: Option<u64>) -> Self {
        let home = Home::new();
        let store = shared(SqliteStore::open(&home.data, options).await.unwrap());
        let log: Arc<dyn EventLog> = match seed {
            Some(seed) => Arc::new(Hostile::new(store.clone(), seed)),
            None => store.clone(),
        };
        Self { log, store, _home: home }
    }
}

#[async_trait]
impl Fixture for OnDisk {
    fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    async fn append(&self, event_id: &str) -> Position {
        append(&self.store, event_id).await
    }

    async fn forget(&self) {
        let later = Timestamp::now() + SignedDuration::from_hours(1);
        self.store.apply_retention(Duration::from_secs(60), later).await.unwrap();
    }
}

mod log_from_memory {
    use super::*;

    async fn empty() -> OnDisk {
        OnDisk::open(StoreOptions::default(), None).await
    }

    sluice_subscriptions::event_log_contract!(empty);
}

mod log_from_the_file {
    use super::*;

    async fn empty() -> OnDisk {
        OnDisk::open(StoreOptions { window_events: 3, ..StoreOptions::default() }, None).await
    }

    sluice_subscriptions::event_log_contract!(empty);
}

mod hostile_log {
    use super::*;

    async fn empty() -> OnDisk {
        OnDisk::open(StoreOptions { window_events: 3, ..StoreOptions::default() }, Some(11)).await
    }

    sluice_subscriptions::event_log_contract!(empty);
}
