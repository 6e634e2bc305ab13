//! A platform's parts: PostgreSQL, SpiceDB, shared by any number of processes.

use std::{fs, sync::Arc, time::Duration};

use sluice_adapters::{
    postgres::{
        Lease, MasterKey, MasterKeyError, OpenError, Postgres, PostgresAudit, PostgresKeyring, PostgresOptions,
        PostgresRevocations, PostgresStore, PostgresSubscribers, RecentLog, StoreOptions,
    },
    spicedb::{SchemaState, SpiceDb, SpiceDbOptions},
};
use sluice_subscriptions::relationships;

use super::{Place, StartError, Storage, sign_heads};
use crate::config::{AuthMode, Config, LogKind};

pub(in crate::app) struct Platform {
    db: Postgres,
    pub(in crate::app) store: Arc<PostgresStore>,
    audit: Arc<PostgresAudit>,
}

pub(super) async fn open(config: &Config) -> Result<Storage, StartError> {
    make_data_dir(config)?;
    let db = Postgres::connect(&postgres_options(config)).await?;
    // A topic has a retention of its own; the store behind it is read by the relay and the workers, from any place.
    let retention = (config.parts.log == LogKind::Store).then_some(config.log_retention.0);
    let store = Arc::new(PostgresStore::open(&db, StoreOptions { retention }).await?);
    let audit = Arc::new(PostgresAudit::open(&db, &node(config)).await?);
    let heads = sign_heads(config, audit.end()).await?;
    let keyring = Arc::new(PostgresKeyring::open(&db, master_key(config)?).await?);
    Ok(Storage {
        store: store.clone(),
        outbox: store.clone(),
        checkpoints: store.clone(),
        audit: audit.clone(),
        keyring,
        subscribers: Arc::new(PostgresSubscribers::new(&db)),
        revocations: Arc::new(PostgresRevocations::open(&db)),
        heads,
        place: Place::Platform(Platform { db, store, audit }),
    })
}

/// Where a key or the heads of the audit trail are in it.
pub(crate) fn make_data_dir(config: &Config) -> Result<(), StartError> {
    let audit = &config.audit;
    let is_needed =
        config.auth.mode == AuthMode::Embedded || audit.heads_file.is_none() || audit.signing_key_file.is_none();
    if !is_needed {
        return Ok(());
    }
    let path = config.data_dir.clone();
    fs::create_dir_all(&path).map_err(|source| StartError::DataDir { path, source })
}

pub(crate) fn master_key(config: &Config) -> Result<MasterKey, MasterKeyError> {
    MasterKey::from_file(config.postgres.master_key_file.as_deref().unwrap_or("master.key".as_ref()))
}

impl Platform {
    /// The store as far back as the log is kept: a relay that begins a new epoch copies no more than that.
    pub(in crate::app) async fn recent(&self, retention: Duration) -> Result<Arc<RecentLog>, OpenError> {
        RecentLog::open(self.store.clone(), retention).await.map(Arc::new)
    }

    pub(super) fn lease(&self, name: &str) -> Lease {
        self.db.lease(name)
    }

    pub(super) async fn close(&self) {
        self.store.close().await;
        self.audit.close().await;
        self.db.close().await;
    }
}

/// SpiceDB, with the schema that this program knows.
pub(super) async fn relationships(config: &Config) -> Result<SpiceDb, StartError> {
    let spicedb = SpiceDb::connect(&spicedb_options(config), relationships::SCHEMA).await?;
    match spicedb.ensure_schema(config.spicedb.write_schema).await? {
        SchemaState::Same => {}
        SchemaState::Created => tracing::info!("the authorization schema was written to SpiceDB"),
        SchemaState::Changed(names) => {
            tracing::info!(?names, "the authorization schema in SpiceDB was brought up to date")
        }
    }
    Ok(spicedb)
}

pub(crate) fn postgres_options(config: &Config) -> PostgresOptions {
    let postgres = &config.postgres;
    PostgresOptions {
        url: postgres.url.0.clone(),
        max_connections: postgres.max_connections,
        deadline: Duration::from_millis(postgres.deadline_ms),
    }
}

pub(crate) fn spicedb_options(config: &Config) -> SpiceDbOptions {
    let spicedb = &config.spicedb;
    SpiceDbOptions {
        endpoint: spicedb.endpoint.clone(),
        preshared_key: spicedb.preshared_key.0.clone(),
        ca_file: spicedb.ca_file.clone(),
        deadline: Duration::from_millis(spicedb.deadline_ms),
        max_in_flight: spicedb.max_in_flight,
        max_staleness: Duration::from_millis(spicedb.max_staleness_ms),
    }
}

/// This process's name: it tells its records in the audit trail from other nodes'.
pub(crate) fn node(config: &Config) -> String {
    let host = || fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    config.server.node.clone().or_else(host).unwrap_or_else(|| "sluice".into())
}
