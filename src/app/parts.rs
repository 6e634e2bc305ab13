//! The embedded parts, opened.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use sluice_adapters::{
    clearinghouse::{Latency as SimulatedLatency, SimulatedClearinghouse},
    sqlite::{DataDir, OpenError, SqliteAudit, SqliteJournal, SqliteKeyring, SqliteStore, StoreOptions},
};
use sluice_domain::{
    eligibility::{commands::EligibilityService, payer::Payer},
    keyring::Keyring,
    store::EventStore,
};
use sluice_subscriptions::{
    audit::AuditTrail,
    log::{Checkpoints, EventLog},
    relationships::{self, Embedded, Relationships, RelationshipsError},
};

use crate::{
    auth::{Issuer, IssuerError, JwksError, Verifier},
    config::{Clearinghouse, Config, Latency},
};

/// Why the gateway can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Storage(#[from] OpenError),
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

/// All that a gateway works with.
pub(super) struct Parts {
    store: Arc<SqliteStore>,
    audit_file: Arc<SqliteAudit>,
    keyring_file: Arc<SqliteKeyring>,
    directory: DataDir,
    payer: Arc<dyn Payer>,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) checkpoints: Arc<dyn Checkpoints>,
    pub(super) audit: Arc<dyn AuditTrail>,
    pub(super) keyring: Arc<dyn Keyring>,
    pub(super) relationships: Arc<dyn Relationships>,
}

impl Parts {
    pub(super) async fn open(config: &Config) -> Result<Self, StartError> {
        let directory = DataDir::open(&config.data_dir)?;
        let retention = Some(config.log_retention.0);
        let store =
            Arc::new(SqliteStore::open(&directory, StoreOptions { retention, ..StoreOptions::default() }).await?);
        let audit = Arc::new(SqliteAudit::open(&directory, NODE).await?);
        let keyring = Arc::new(SqliteKeyring::open(&directory).await?);
        Ok(Self {
            payer: Arc::new(clearinghouse(&config.eligibility.clearinghouse)),
            log: store.clone(),
            checkpoints: store.clone(),
            store,
            audit: audit.clone(),
            audit_file: audit,
            keyring: keyring.clone(),
            keyring_file: keyring,
            relationships: Arc::new(relationships(&directory).await?),
            directory,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn eligibility(&self) -> EligibilityService {
        let store: Arc<dyn EventStore> = self.store.clone();
        EligibilityService::new(store, self.keyring.clone(), self.payer.clone())
    }

    /// Writes what is queued, and closes the files.
    pub(super) async fn close(&self) {
        self.store.close().await;
        self.audit_file.close().await;
        self.keyring_file.close().await;
    }
}

/// The node's name in the audit trail: an embedded gateway is alone.
const NODE: &str = "embedded";

async fn relationships(directory: &DataDir) -> Result<Embedded, StartError> {
    let journal = SqliteJournal::open(directory).await?;
    let embedded = Embedded::open(relationships::SCHEMA, journal, Arc::new(Timestamp::now)).await?;
    embedded.require("member", relationships::required_permissions()).map_err(StartError::Relationships)?;
    Ok(embedded)
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
