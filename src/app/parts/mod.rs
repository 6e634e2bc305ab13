//! The parts, opened: the embedded ones or a platform's, as the configuration says.

mod embedded;
mod kafka;
mod platform;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sluice_adapters::{
    clearinghouse::{Latency as SimulatedLatency, SimulatedClearinghouse},
    postgres::{self, Lease, MasterKeyError},
    spicedb, sqlite,
};
use sluice_domain::{
    eligibility::{commands::EligibilityService, payer::Payer},
    keyring::Keyring,
    store::EventStore,
};
use sluice_subscriptions::{
    audit::AuditTrail,
    log::{Checkpoints, EventLog},
    relationships::{self, Relationships, RelationshipsError},
};

use self::{embedded::Files, platform::Platform};
pub(crate) use self::{
    kafka::{PropertiesError, kafka_options},
    platform::{postgres_options, spicedb_options},
};
use crate::{
    auth::{Issuer, IssuerError, JwksError, Verifier},
    config::{Clearinghouse, Config, Latency, RelationshipsKind, StoreKind},
};

/// Why the gateway can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Storage(#[from] sqlite::OpenError),
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    #[error(transparent)]
    SpiceDb(#[from] spicedb::OpenError),
    #[error(transparent)]
    KafkaProperties(#[from] PropertiesError),
    #[error("the data directory {path} can't be made: {source}", path = .path.display())]
    DataDir { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Authorization(#[from] relationships::OpenError),
    #[error("the authorization schema does not fit this program: {0}")]
    Relationships(#[source] RelationshipsError),
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error("`auth.jwks_file` is needed with the mode `jwks_file`: name the file that holds the issuer's public keys")]
    NoJwks,
    #[error("the key set {path} can't be read: {source}", path = .path.display())]
    JwksFile { path: PathBuf, source: std::io::Error },
    #[error("the key set {path} is of no use: {source}", path = .path.display())]
    Jwks { path: PathBuf, source: JwksError },
    #[error("{0}")]
    Schema(String),
    #[error("the ready file can't be removed: {0}")]
    ReadyFile(#[source] std::io::Error),
}

/// All that a process works with.
pub(super) struct Parts {
    storage: Storage,
    payer: Arc<dyn Payer>,
    /// What gateways read events from.
    pub(super) log: Arc<dyn EventLog>,
    pub(super) relationships: Arc<dyn Relationships>,
}

/// What is durable.
struct Storage {
    store: Arc<dyn EventStore>,
    outbox: Arc<dyn EventLog>,
    checkpoints: Arc<dyn Checkpoints>,
    audit: Arc<dyn AuditTrail>,
    keyring: Arc<dyn Keyring>,
    place: Place,
}

impl Storage {
    /// What gateways read: the store itself, or the topic that it is relayed to.
    async fn log(&self, config: &Config) -> Result<Arc<dyn EventLog>, StartError> {
        match config.parts.log {
            LogKind::Store => Ok(self.outbox.clone()),
            LogKind::Kafka => Ok(kafka::open(config, self).await?),
        }
    }
}

/// Where it is.
enum Place {
    Files(Files),
    Platform(Platform),
}

impl Parts {
    pub(super) async fn open(config: &Config) -> Result<Self, StartError> {
        let storage = match config.parts.store {
            StoreKind::Embedded => embedded::open(config).await?,
            StoreKind::Postgres => platform::open(config).await?,
        };
        let relationships: Arc<dyn Relationships> = match (config.parts.relationships, &storage.place) {
            (RelationshipsKind::Embedded, Place::Files(files)) => Arc::new(files.relationships().await?),
            _ => Arc::new(platform::relationships(config).await?),
        };
        Ok(Self {
            payer: Arc::new(clearinghouse(&config.eligibility.clearinghouse)),
            log: storage.log(config).await?,
            relationships,
            storage,
        })
    }

    /// The store as a log: what workers read, and what the relay copies.
    pub(super) fn outbox(&self) -> Arc<dyn EventLog> {
        self.storage.outbox.clone()
    }

    pub(super) fn checkpoints(&self) -> Arc<dyn Checkpoints> {
        self.storage.checkpoints.clone()
    }

    pub(super) fn audit(&self) -> Arc<dyn AuditTrail> {
        self.storage.audit.clone()
    }

    pub(super) fn keyring(&self) -> Arc<dyn Keyring> {
        self.storage.keyring.clone()
    }

    pub(super) fn eligibility(&self) -> EligibilityService {
        EligibilityService::new(self.storage.store.clone(), self.keyring(), self.payer.clone())
    }

    /// What one process of all that share the parts holds at a time; `None` where this one is alone.
    pub(super) fn lease(&self, name: &str) -> Option<Lease> {
        match &self.storage.place {
            Place::Files(_) => None,
            Place::Platform(platform) => Some(platform.lease(name)),
        }
    }

    /// Writes what is queued, and closes files and connections.
    pub(super) async fn close(&self) {
        match &self.storage.place {
            Place::Files(files) => files.close().await,
            Place::Platform(platform) => platform.close().await,
        }
    }
}

fn clearinghouse(config: &Clearinghouse) -> SimulatedClearinghouse {
    let latency = match config.latency {
        Latency::None => SimulatedLatency::None,
        Latency::Fixed => SimulatedLatency::Fixed(Duration::from_millis(config.fixed_ms)),
        Latency::Realistic => SimulatedLatency::Realistic {
            median: Duration::from_millis(config.median_ms),
            p95: Duration::from_millis(config.p95_ms),
            never: config.never_share,
        },
    };
    SimulatedClearinghouse::new(latency, config.seed.unwrap_or_else(|| fastrand::u64(..)))
}

/// Who signs tokens, and who checks them.
pub(super) fn tokens(config: &Config, directory: &Path) -> Result<(Option<Issuer>, Verifier), StartError> {
    if let Some(issuer) = super::issuer(config, directory)? {
        let verifier = issuer.verifier();
        return Ok((Some(issuer), verifier));
    }
    let path = config.auth.jwks_file.clone().ok_or(StartError::NoJwks)?;
    let jwks = std::fs::read_to_string(&path).map_err(|source| StartError::JwksFile { path: path.clone(), source })?;
    let verifier = Verifier::from_jwks(&jwks, super::token_rules(config));
    Ok((None, verifier.map_err(|source| StartError::Jwks { path, source })?))
}
