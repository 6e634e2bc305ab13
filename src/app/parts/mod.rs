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
    audit_heads::{ChainEnd, HeadSigner, HeadsFileError, KeyError, SigningKey},
    clearinghouse::{Latency as SimulatedLatency, SimulatedClearinghouse},
    jwks::JwksUrlError,
    kafka::KafkaLog,
    postgres::{self, Lease, MasterKeyError},
    spicedb, sqlite,
};
use sluice_domain::{
    eligibility::{commands::EligibilityService, payer::Payer},
    emergency::EmergencyService,
    keyring::Keyring,
    publishing::Publisher,
    store::EventStore,
};
use sluice_subscriptions::{
    audit::AuditTrail,
    log::{Checkpoints, EventLog, LogError},
    relationships::{self, Relationships, RelationshipsError},
    revocations::{RevocationsUnavailable, TokenRevocations},
    subscribers::SubscriberState,
};

use self::embedded::Files;
pub(super) use self::platform::Platform;
pub(crate) use self::{
    kafka::{PropertiesError, kafka_options},
    platform::{make_data_dir, master_key, node, postgres_options, spicedb_options},
};
use super::counted::Counted;
use crate::{
    auth::{Authenticator, Issuer, IssuerError, JwksSource},
    config::{Clearinghouse, Config, Latency, LogKind, RelationshipsKind, Role, StoreKind},
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
    Kafka(#[from] sluice_adapters::kafka::OpenError),
    #[error(transparent)]
    AuditKey(#[from] KeyError),
    #[error(transparent)]
    AuditHeads(#[from] HeadsFileError),
    #[error("the relay's checkpoint can't be read: {0}")]
    Checkpoint(#[source] LogError),
    #[error(transparent)]
    KafkaProperties(#[from] PropertiesError),
    #[error("the data directory {path} can't be made: {source}", path = .path.display())]
    DataDir { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Authorization(#[from] relationships::OpenError),
    #[error("the authorization schema does not fit this program: {0}")]
    Relationships(#[source] RelationshipsError),
    #[error("{0}: whom to let in is not known")]
    Revocations(#[from] RevocationsUnavailable),
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error("`auth.jwks_file` is needed with the mode `jwks_file`: name the file that holds the issuer's public keys")]
    NoJwks,
    #[error("`auth.jwks_url` is of no use: {0}")]
    JwksUrl(#[from] JwksUrlError),
    #[error("the key set {from} can't be used: {why}")]
    Jwks { from: String, why: String },
    #[error("{0}")]
    Schema(String),
    #[error("no thread can be started for the engine: {0}; see the limits on threads and memory")]
    Threads(#[source] std::io::Error),
    #[error("the ready file can't be removed: {0}")]
    ReadyFile(#[source] std::io::Error),
}

/// All that a process works with.
pub(super) struct Parts {
    storage: Storage,
    payer: Arc<dyn Payer>,
    /// What gateways read events from.
    pub(super) log: Arc<dyn EventLog>,
    /// The same, where it is a topic.
    pub(super) topic: Option<Arc<KafkaLog>>,
    pub(super) relationships: Arc<dyn Relationships>,
}

/// What is durable.
struct Storage {
    store: Arc<dyn EventStore>,
    outbox: Arc<dyn EventLog>,
    checkpoints: Arc<dyn Checkpoints>,
    audit: Arc<dyn AuditTrail>,
    keyring: Arc<dyn Keyring>,
    subscribers: Arc<dyn SubscriberState>,
    revocations: Arc<dyn TokenRevocations>,
    heads: Arc<HeadSigner>,
    place: Place,
}

impl Storage {
    /// What store and keyring refuse is told and counted.
    fn counted(self) -> Self {
        let store: Arc<dyn EventStore> = Arc::new(Counted::new(self.store, "store"));
        let keyring: Arc<dyn Keyring> = Arc::new(Counted::new(self.keyring, "keys"));
        Self { store, keyring, ..self }
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
        let topic = match config.parts.log {
            LogKind::Store => None,
            LogKind::Kafka => match kafka::open(config, &storage.outbox, storage.checkpoints.as_ref()).await {
                Ok(topic) => topic,
                Err(error) => return Err(not_opened(error, config, &storage).await),
            },
        };
        let storage = storage.counted();
        Ok(Self {
            payer: Arc::new(clearinghouse(&config.eligibility.clearinghouse)),
            log: topic.clone().map_or_else(|| storage.outbox.clone(), |topic| topic as Arc<dyn EventLog>),
            topic,
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

    pub(super) fn store(&self) -> Arc<dyn EventStore> {
        self.storage.store.clone()
    }

    pub(super) fn audit(&self) -> Arc<dyn AuditTrail> {
        self.storage.audit.clone()
    }

    /// Who signs where the audit trail is.
    pub(super) fn heads(&self) -> Arc<HeadSigner> {
        self.storage.heads.clone()
    }

    pub(super) fn keyring(&self) -> Arc<dyn Keyring> {
        self.storage.keyring.clone()
    }

    /// Where clients are that go by a name.
    pub(super) fn subscribers(&self) -> Arc<dyn SubscriberState> {
        self.storage.subscribers.clone()
    }

    pub(super) fn revocations(&self) -> Arc<dyn TokenRevocations> {
        self.storage.revocations.clone()
    }

    pub(super) fn eligibility(&self) -> EligibilityService {
        EligibilityService::new(self.storage.store.clone(), self.keyring(), self.payer.clone())
    }

    pub(super) fn emergency(&self) -> EmergencyService {
        EmergencyService::new(self.storage.store.clone(), self.keyring())
    }

    pub(super) fn publisher(&self) -> Publisher {
        Publisher::new(self.storage.store.clone(), self.keyring())
    }

    /// What the relay needs; `None` where the store is embedded, and its own log.
    pub(super) fn platform(&self) -> Option<&Platform> {
        match &self.storage.place {
            Place::Files(_) => None,
            Place::Platform(platform) => Some(platform),
        }
    }

    /// What one process of all that share the parts holds at a time; `None` where this one is alone.
    pub(super) fn lease(&self, name: &str) -> Option<Lease> {
        self.platform().map(|platform| platform.lease(name))
    }

    /// Writes what is queued, and closes files and connections.
    pub(super) async fn close(&self) {
        if let Some(topic) = &self.topic {
            topic.close().await;
        }
        match &self.storage.place {
            Place::Files(files) => files.close().await,
            Place::Platform(platform) => platform.close().await,
        }
        // Nothing is added to the trail any more.
        if let Err(error) = self.storage.heads.close().await {
            tracing::error!(%error, "the end of the audit trail could not be signed");
        }
    }
}

/// A first head is kept before anything else is recorded: a path that is wrong is found now.
pub(crate) async fn sign_heads(config: &Config, end: ChainEnd) -> Result<Arc<HeadSigner>, StartError> {
    let key = SigningKey::open(&config.audit_signing_key_file())?;
    Ok(Arc::new(HeadSigner::begin(&config.heads_file(), key, end).await?))
}

/// A relay that comes to a topic that was made anew begins a new epoch, also where the process can't start for the same
/// reason: nobody else may be there to do it. The next start goes on in the new epoch.
async fn not_opened(error: StartError, config: &Config, storage: &Storage) -> StartError {
    if let (StartError::Kafka(sluice_adapters::kafka::OpenError::MadeAnew { .. }), Place::Platform(platform), true) =
        (&error, &storage.place, config.server.has(Role::Relay))
        && let Ok(kafka) = kafka_options(config)
    {
        super::relay::begin_epoch(&platform.store, &kafka).await;
    }
    error
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
pub(super) async fn tokens(config: &Config, directory: &Path) -> Result<(Option<Issuer>, Authenticator), StartError> {
    if let Some(issuer) = super::issuer(config, directory)? {
        let tokens = Authenticator::fixed(issuer.verifier());
        return Ok((Some(issuer), tokens));
    }
    let source = JwksSource::of(&config.auth)?.ok_or(StartError::NoJwks)?;
    let from = source.to_string();
    let every = Duration::from_secs(config.auth.jwks_refresh_seconds);
    let tokens = Authenticator::rotating(Arc::new(source), every, super::token_rules(config)).await;
    Ok((None, tokens.map_err(|why| StartError::Jwks { from, why })?))
}
