//! The sections of the file, a struct each, with their defaults. A doc comment here says what a key means; so does
//! `sluice.example.toml`, for those who do not read Rust.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    thread,
};

use serde::Deserialize;
use sluice_adapters::kafka::foreign::ForeignTopic;

use super::{Kafka, Parts, Period, Postgres, SpiceDb};
use crate::transports::TransportConfig;

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the database, the audit trail and the keys are.
    pub data_dir: PathBuf,
    /// How long events can be resumed from.
    pub log_retention: Period,
    pub parts: Parts,
    pub postgres: Postgres,
    pub kafka: Kafka,
    pub spicedb: SpiceDb,
    /// Topics of other services, whose events are published here; docs/foreign-topics.md.
    pub foreign_topics: Vec<ForeignTopic>,
    pub server: Server,
    pub transports: TransportConfig,
    pub limits: Limits,
    pub auth: Auth,
    pub audit: Audit,
    pub eligibility: Eligibility,
    pub demo: Demo,
    pub telemetry: Telemetry,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: ".sluice".into(),
            log_retention: Period::hours(7 * 24),
            parts: Parts::default(),
            postgres: Postgres::default(),
            kafka: Kafka::default(),
            spicedb: SpiceDb::default(),
            foreign_topics: Vec::new(),
            server: Server::default(),
            transports: TransportConfig::default(),
            limits: Limits::default(),
            auth: Auth::default(),
            audit: Audit::default(),
            eligibility: Eligibility::default(),
            demo: Demo::default(),
            telemetry: Telemetry::default(),
        }
    }
}

impl Config {
    /// Whether demo people exist and have tokens: only where Sluice signs tokens itself.
    pub fn has_demo_people(&self) -> bool {
        self.demo.enabled && self.auth.mode == AuthMode::Embedded
    }

    /// Where signed heads of the audit trail are kept.
    pub fn heads_file(&self) -> PathBuf {
        self.audit.heads_file.clone().unwrap_or_else(|| self.data_dir.join("audit-heads.jsonl"))
    }

    /// What they are signed with.
    pub fn audit_signing_key_file(&self) -> PathBuf {
        self.audit.signing_key_file.clone().unwrap_or_else(|| self.data_dir.join("audit-signing.pk8"))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Written once connections are accepted.
    pub ready_file: Option<PathBuf>,
    /// How long open connections and background tasks have to end after SIGTERM.
    pub drain_seconds: u64,
    /// What this process does of what an installation does.
    pub roles: Vec<Role>,
    /// This process's name in the audit trail; the host's where it is not set.
    pub node: Option<String>,
    /// Over how many tasks, each on a core of its own, subscriptions are spread; 0: as many as there are cores.
    pub shards: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 4000).into(),
            ready_file: None,
            drain_seconds: 10,
            roles: vec![Role::Gateway, Role::Relay, Role::Worker],
            node: None,
            shards: 0,
        }
    }
}

impl Server {
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    pub fn shards(&self) -> NonZeroUsize {
        let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        NonZeroUsize::new(self.shards).unwrap_or_else(cores)
    }
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Serves clients.
    Gateway,
    /// Copies the store to the topic; of all processes with this role one at a time.
    Relay,
    /// Asks payers and reads foreign topics; of all processes with this role one at a time asks payers.
    Worker,
}

/// What one GraphQL request may be at most, on every transport.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub max_depth: usize,
    pub max_aliases: usize,
    pub max_tokens: usize,
    pub max_complexity: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_depth: 10, max_aliases: 15, max_tokens: 1000, max_complexity: 1000 }
    }
}

/// Whose tokens are believed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    pub mode: AuthMode,
    /// The public keys of the issuer, as a JSON Web Key Set (RFC 7517); for the mode `jwks_file`.
    pub jwks_file: Option<PathBuf>,
    /// Where the issuer publishes the same, over HTTPS; for the mode `jwks_url`.
    pub jwks_url: Option<String>,
    /// How often the keys are read anew. For a token whose key is not known that is done at once.
    pub jwks_refresh_seconds: u64,
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must hold.
    pub audience: String,
    /// How far clocks may be apart at `exp` and `nbf`.
    pub leeway_seconds: u64,
    /// The longest that a token may be valid, from `iat` to `exp`. Revocations are kept for as long.
    pub max_token_lifetime: Period,
    /// For how long what other gateways revoke may be unknown before nobody is let in.
    pub max_revocation_staleness_ms: u64,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            mode: AuthMode::Embedded,
            jwks_file: None,
            jwks_url: None,
            jwks_refresh_seconds: 300,
            issuer: "sluice".into(),
            audience: "sluice".into(),
            leeway_seconds: 5,
            max_token_lifetime: Period::hours(24),
            max_revocation_staleness_ms: 2_000,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// Sluice generates a key in its data directory and signs tokens itself.
    Embedded,
    /// An identity provider signs; its public keys are in a file.
    JwksFile,
    /// The same, and it publishes them itself.
    JwksUrl,
}

/// How the end of the audit trail is vouched for; docs/audit.md.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// How often it is signed where the trail is: what was cut off since the last time goes unnoticed.
    pub head_interval_seconds: u64,
    /// Where the signed heads are kept; a file of the data directory where it is not set.
    pub heads_file: Option<PathBuf>,
    /// The key that they are signed with, made where there is none; a file of the data directory where it is not set.
    pub signing_key_file: Option<PathBuf>,
}

impl Default for Audit {
    fn default() -> Self {
        Self { head_interval_seconds: 60, heads_file: None, signing_key_file: None }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Eligibility {
    /// When a check without an answer is given up, counted from its acknowledgement.
    pub deadline_seconds: u64,
    /// How many checks are with the clearinghouse at once; more wait in order.
    pub max_in_flight: usize,
    pub clearinghouse: Clearinghouse,
}

impl Default for Eligibility {
    fn default() -> Self {
        Self { deadline_seconds: 120, max_in_flight: 50, clearinghouse: Clearinghouse::default() }
    }
}

/// The simulated clearinghouse.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clearinghouse {
    pub latency: Latency,
    /// Half of the realistic answers take less.
    pub median_ms: u64,
    /// 95 of 100 realistic answers take less.
    pub p95_ms: u64,
    /// The share of realistic questions that never get an answer, 0 to 1.
    pub never_share: f64,
    /// What every answer takes with the latency `fixed`.
    pub fixed_ms: u64,
    /// Makes the realistic latencies the same in every run.
    pub seed: Option<u64>,
}

impl Default for Clearinghouse {
    fn default() -> Self {
        Self {
            latency: Latency::Realistic,
            median_ms: 2_000,
            p95_ms: 10_000,
            never_share: 0.01,
            fixed_ms: 10_000,
            seed: None,
        }
    }
}

/// How long the simulated clearinghouse takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    /// As people know it from life: log-normal by `median_ms` and `p95_ms`.
    Realistic,
    /// Answers at once.
    None,
    /// `fixed_ms`, always.
    Fixed,
}

/// The demo people, and the relationships between them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Demo {
    pub enabled: bool,
    /// The tenant that the demo people belong to.
    pub tenant: String,
}

impl Default for Demo {
    fn default() -> Self {
        Self { enabled: true, tenant: "demo".into() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    pub log_format: LogFormat,
    /// Levels by target, in the syntax of tracing-subscriber's `EnvFilter`.
    pub log_filter: String,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { log_format: LogFormat::Text, log_filter: "info".into() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object per line, for machines.
    Json,
}
