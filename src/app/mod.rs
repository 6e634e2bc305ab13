//! The wiring: the only place that sees both what asks (resolvers, transports) and what answers (adapters).

mod background;
mod banner;
mod counted;
mod demo;
mod embed;
mod heads;
mod keys;
mod outage;
mod parts;
mod probes;
mod relay;
mod threads;
mod watched;
mod workers;

use std::{collections::BTreeMap, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use axum::Router;
use sluice_resolvers::{Graph, Limits, Services};
use sluice_subscriptions::{
    access::Access,
    audit::AuditTrail,
    engine::{Engine, Parts as EngineParts},
    log::EventLog,
    revocations::{self, Revocations},
    subscribers::Named,
};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::demo::Identity;
pub use self::embed::{Altered, Ports};
pub use self::parts::StartError;
pub(crate) use self::parts::{
    kafka_options, make_data_dir, master_key, node, postgres_options, sign_heads, spicedb_options,
};
use self::{keys::KeyringKeys, parts::Parts, threads::PartsThread, watched::Watched};
use crate::{
    auth::{Authenticator, Issuer, TokenRules},
    config::{AuthMode, Config, Role},
    gate::Gateway,
    health::{self, Health},
    ready::{self, DemoViewer, Ready},
    shutdown::Tasks,
    telemetry::Metrics,
    transports,
};

/// How long relationships may take to answer before nothing is shown: where ten thousand ask at once, the last of them too.
const ACCESS_DEADLINE: Duration = Duration::from_secs(5);

/// How long the audit trail may take before a delivery is held.
const AUDIT_DEADLINE: Duration = Duration::from_secs(5);

/// How long the demo people's tokens hold.
const DEMO_TTL: Duration = Duration::from_secs(12 * 60 * 60);

/// The gateway, built and not yet listening.
pub struct App {
    config: Config,
    parts: Parts,
    /// Behind them: it ends when they are gone.
    _parts_thread: PartsThread,
    /// Absent where this process serves no clients.
    gate: Option<Arc<Gateway>>,
    issuer: Option<Issuer>,
    tasks: Tasks,
    health: Arc<Health>,
    metrics: Metrics,
}

/// Why a running gateway ended otherwise than by its signal.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("the server failed: {0}")]
    Serve(#[source] io::Error),
    #[error("{0} ended, and the gateway is not whole without it: see the log, then start it again")]
    Task(&'static str),
    #[error("the ready file {path} can't be written: {source}", path = .path.display())]
    ReadyFile { path: std::path::PathBuf, source: io::Error },
    #[error("a token for a demo person can't be made: {0}")]
    Demo(String),
}

impl App {
    /// Opens the data directory, and builds all parts.
    ///
    /// # Errors
    /// A part can't start; one sentence says which and why.
    pub async fn build(config: Config, metrics: Metrics) -> Result<Self, StartError> {
        Self::build_altered(config, metrics, Altered::default()).await
    }

    /// As [`App::build`], with some of what decides and records altered: for who holds a gateway against one without.
    ///
    /// # Errors
    /// As [`App::build`].
    pub async fn build_altered(config: Config, metrics: Metrics, altered: Altered) -> Result<Self, StartError> {
        clear_ready_file(&config).map_err(StartError::ReadyFile)?;
        let parts_thread = PartsThread::start().map_err(StartError::Threads)?;
        let given = config.clone();
        let parts = parts_thread.run(async move { Parts::open(&given).await }).await?;
        let (issuer, tokens) = parts::tokens(&config, &config.data_dir).await?;
        let tokens = Arc::new(tokens);
        if config.has_demo_people() {
            demo::relate(parts.relationships.as_ref(), &config.demo.tenant).await.map_err(StartError::Relationships)?;
        }
        let tasks = Tasks::default();
        let health = Arc::<Health>::default();
        tasks.spawn("metrics", |token| metrics.clone().upkeep(token));
        background::start(&parts, &config, &tasks).await?;
        tasks.spawn("the keys of tokens", |token| tokens.clone().run(token));
        probes::start(&parts, &health, &tasks);
        heads::start(&parts, &config, &health, &tasks);
        let gate = match config.server.has(Role::Gateway) {
            true => Some(Arc::new(gateway(&parts, &config, tokens, &health, &tasks, altered).await?)),
            false => None,
        };
        Ok(Self { config, parts, _parts_thread: parts_thread, gate, issuer, tasks, health, metrics })
    }

    /// Serves until `shutdown` is done, then drains: WebSockets are closed with advice, requests finished, tasks awaited.
    ///
    /// # Errors
    /// A part failed while it ran.
    pub async fn run(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let address = listener.local_addr().map_err(RunError::Serve)?;
        let drain = CancellationToken::new();
        // WebSockets outlive the server that upgraded them: they are waited for by name.
        let connections = TaskTracker::new();
        let router = self.router(drain.clone(), connections.clone());
        let (config, stop) = (self.config.transports.clone(), drain.clone());
        let server = tokio::spawn(async move { transports::serve(listener, router, &config, stop).await });
        self.health.accepting(true);
        self.announce(address)?;
        let failed = tokio::select! {
            () = shutdown => None,
            name = self.tasks.failed() => Some(name),
        };
        self.health.accepting(false);
        drain.cancel();
        let grace = Duration::from_secs(self.config.server.drain_seconds);
        connections.close();
        let ended = async { tokio::join!(server, connections.wait()) };
        if tokio::time::timeout(grace, ended).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        self.tasks.drain(grace).await;
        self.ends_recorded(grace).await;
        self.parts.close().await;
        failed.map_or(Ok(()), |name| Err(RunError::Task(name)))
    }

    /// What ended with this process is on record before the trail is closed.
    async fn ends_recorded(&self, at_most: Duration) {
        let Some(gate) = &self.gate else { return };
        if tokio::time::timeout(at_most, gate.engine.over()).await.is_err() {
            tracing::warn!("the ends of some subscriptions are not in the audit trail: it took too long");
        }
    }

    fn router(&self, drain: CancellationToken, connections: TaskTracker) -> Router {
        let health = health::routes(self.health.clone(), self.metrics.clone());
        let Some(gate) = self.gate.clone() else { return health };
        transports::tracked_router(gate, self.config.transports.clone(), drain, connections).merge(health)
    }

    /// Tells people on the screen, and programs by the ready file.
    fn announce(&self, address: SocketAddr) -> Result<(), RunError> {
        let mut ready = Ready::at(address);
        if let (Some(issuer), true) = (&self.issuer, self.config.has_demo_people()) {
            ready.viewers = demo_viewers(issuer, &self.config).map_err(RunError::Demo)?;
        }
        banner::print(&ready, &self.config);
        match &self.config.server.ready_file {
            Some(path) => ready.write(path).map_err(|source| RunError::ReadyFile { path: path.clone(), source }),
            None => Ok(()),
        }
    }
}

/// How many connections may wait to be accepted, or as many as the system lets (`net.core.somaxconn`): where a crowd comes back
/// at once, one that finds no room tries again after seconds.
const BACKLOG: u32 = 65_535;

/// Listens, for [`App::run`].
///
/// # Errors
/// The address can't be had.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As `TcpListener::bind` has it: what was closed a moment ago does not keep the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The way in, with the engine behind it.
async fn gateway(
    parts: &Parts,
    config: &Config,
    tokens: Arc<Authenticator>,
    health: &Arc<Health>,
    tasks: &Tasks,
    altered: Altered,
) -> Result<Gateway, StartError> {
    let relationships = Arc::new(Watched::new(parts.relationships.clone(), "relationships", health.clone()));
    let checked = (altered.relationships)(relationships.clone());
    let access = Arc::new((altered.access)(Access::new(checked, ACCESS_DEADLINE)));
    let audit = Arc::new(Watched::new((altered.audit)(parts.audit()), "audit", health.clone()));
    let log = altered.log.unwrap_or_else(|| parts.log.clone());
    let engine = start_engine(parts, config, log, access.clone(), audit, tasks)?;
    let revocations = start_revocations(parts, config, health, tasks).await?;
    let services = Services {
        eligibility: parts.eligibility(),
        emergency: parts.emergency(),
        reader: parts.eligibility().reader(),
        access,
        relationships,
        engine: engine.clone(),
        revocations: revocations.clone(),
    };
    let graph = Graph::new(services, limits(config)).map_err(StartError::Schema)?;
    let named = Named::new(parts.subscribers(), engine.clone());
    Ok(Gateway { tokens, graph, engine, named, revocations })
}

/// What was revoked is known before anybody is let in.
async fn start_revocations(
    parts: &Parts,
    config: &Config,
    health: &Arc<Health>,
    tasks: &Tasks,
) -> Result<Revocations, StartError> {
    let store = Arc::new(Watched::new(parts.revocations(), "revocations", health.clone()));
    let auth = &config.auth;
    let options = revocations::Options {
        max_lifetime: auth.max_token_lifetime.0,
        leeway: Duration::from_secs(auth.leeway_seconds),
        max_staleness: Duration::from_millis(auth.max_revocation_staleness_ms),
    };
    let revocations = Revocations::open(store, options).await?;
    let following = revocations.clone();
    tasks.spawn("revocations", |token| following.follow(token));
    Ok(revocations)
}

fn start_engine(
    parts: &Parts,
    config: &Config,
    log: Arc<dyn EventLog>,
    access: Arc<Access>,
    audit: Arc<dyn AuditTrail>,
    tasks: &Tasks,
) -> Result<Engine, StartError> {
    let engine_parts = EngineParts {
        log,
        access,
        audit,
        keys: Arc::new(KeyringKeys(parts.keyring())),
        audit_deadline: AUDIT_DEADLINE,
    };
    let (engine, shards) = Engine::new(engine_parts, config.server.shards(), tasks.token());
    threads::start(shards, tasks).map_err(StartError::Threads)?;
    Ok(engine)
}

fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    Limits {
        max_depth: limits.max_depth,
        max_complexity: limits.max_complexity,
        max_aliases: limits.max_aliases,
        max_tokens: limits.max_tokens,
    }
}

fn demo_viewers(issuer: &Issuer, config: &Config) -> Result<BTreeMap<String, DemoViewer>, String> {
    let ttl = DEMO_TTL.min(config.auth.max_token_lifetime.0);
    let viewer = |person: crate::cli::DemoPerson| {
        let identity = Identity::of(person, &config.demo.tenant).map_err(|error| error.to_string())?;
        let token = issuer.issue(&identity.user, &identity.tenant, identity.purpose, ttl);
        let token = token.map_err(|error| error.to_string())?;
        let is_member = person == crate::cli::DemoPerson::Member;
        let id = if is_member { demo::MEMBER.to_owned() } else { identity.user.to_string() };
        Ok((person.name().to_owned(), DemoViewer { id, token }))
    };
    demo::PEOPLE.into_iter().map(viewer).collect()
}

/// The rules that the configuration sets for tokens.
pub(crate) fn token_rules(config: &Config) -> TokenRules {
    let auth = &config.auth;
    TokenRules {
        leeway: Duration::from_secs(auth.leeway_seconds),
        max_lifetime: auth.max_token_lifetime.0,
        ..TokenRules::new(&auth.issuer, &auth.audience)
    }
}

/// The issuer of an embedded installation; `None` where an identity provider signs.
///
/// # Errors
/// Its key can't be read or made.
pub(crate) fn issuer(config: &Config, directory: &Path) -> Result<Option<Issuer>, StartError> {
    match config.auth.mode {
        AuthMode::Embedded => Ok(Some(Issuer::open(directory, token_rules(config))?)),
        AuthMode::JwksFile | AuthMode::JwksUrl => Ok(None),
    }
}

/// Removes the ready file of an earlier run.
fn clear_ready_file(config: &Config) -> io::Result<()> {
    config.server.ready_file.as_deref().map_or(Ok(()), ready::clear)
}
