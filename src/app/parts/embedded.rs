//! The embedded parts: files in the data directory, for one process.

use std::sync::Arc;

use jiff::Timestamp;
use sluice_adapters::sqlite::{
    DataDir, SqliteAudit, SqliteJournal, SqliteKeyring, SqliteRevocations, SqliteStore, SqliteSubscribers, StoreOptions,
};
use sluice_schema::access;
use sluice_subscriptions::relationships::{self, Embedded};

use super::{Place, StartError, Storage, node, sign_heads};
use crate::config::Config;

pub(super) struct Files {
    directory: DataDir,
    store: Arc<SqliteStore>,
    audit: Arc<SqliteAudit>,
    keyring: Arc<SqliteKeyring>,
    subscribers: Arc<SqliteSubscribers>,
    revocations: Arc<SqliteRevocations>,
}

pub(super) async fn open(config: &Config) -> Result<Storage, StartError> {
    let directory = DataDir::open(&config.data_dir)?;
    let retention = Some(config.log_retention.0);
    let store = SqliteStore::open(&directory, StoreOptions { retention, ..StoreOptions::default() }).await?;
    let store = Arc::new(store);
    let audit = Arc::new(SqliteAudit::open(&directory, &node(config)).await?);
    let heads = sign_heads(config, audit.end()).await?;
    let keyring = Arc::new(SqliteKeyring::open(&directory).await?);
    let subscribers = Arc::new(SqliteSubscribers::open(&directory).await?);
    let revocations = Arc::new(SqliteRevocations::open(&directory).await?);
    Ok(Storage {
        store: store.clone(),
        outbox: store.clone(),
        checkpoints: store.clone(),
        audit: audit.clone(),
        keyring: keyring.clone(),
        subscribers: subscribers.clone(),
        heads,
        revocations: revocations.clone(),
        place: Place::Files(Files { directory, store, audit, keyring, subscribers, revocations }),
    })
}

impl Files {
    pub(super) async fn relationships(&self) -> Result<Embedded, StartError> {
        let journal = SqliteJournal::open(&self.directory).await?;
        let embedded = Embedded::open(relationships::SCHEMA, journal, Arc::new(Timestamp::now)).await?;
        embedded.require("member", relationships::required_permissions()).map_err(StartError::Relationships)?;
        embedded.require("tenant", access::ON_TENANT).map_err(StartError::Relationships)?;
        embedded.require("care_team", access::ON_CARE_TEAM).map_err(StartError::Relationships)?;
        Ok(embedded)
    }

    pub(super) async fn close(&self) {
        self.store.close().await;
        self.audit.close().await;
        self.keyring.close().await;
        self.subscribers.close().await;
        self.revocations.close().await;
    }
}
