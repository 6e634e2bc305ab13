//! Which parts Sluice works with: the embedded ones, or those of a platform. Each real part has a section of its own.

use std::path::PathBuf;

use serde::Deserialize;

use super::Secret;

/// Which implementation each part has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Parts {
    pub store: StoreKind,
    pub log: LogKind,
    pub relationships: RelationshipsKind,
}

/// Where events, checkpoints, the audit trail and the keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// Files in the data directory, for one process.
    #[default]
    Embedded,
    /// A PostgreSQL database, for any number of gateways.
    Postgres,
}

/// What gateways read events from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// The store itself.
    #[default]
    Store,
    /// A topic that the relay copies the store to.
    Kafka,
}

/// Who stands in which relation to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum RelationshipsKind {
    /// Evaluated in process, kept in a file of the data directory.
    #[default]
    Embedded,
    #[serde(rename = "spicedb")]
    SpiceDb,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Postgres {
    /// `postgres://user:password@host/database?sslmode=verify-full`.
    pub url: Secret,
    pub max_connections: u32,
    /// How long connecting and each statement may take.
    pub deadline_ms: u64,
    /// What the tenants' keys are wrapped with: 32 bytes as base64, readable by its owner only. Never in the database.
    pub master_key_file: Option<PathBuf>,
}

impl Default for Postgres {
    fn default() -> Self {
        Self { url: Secret::default(), max_connections: 16, deadline_ms: 3_000, master_key_file: None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// Bootstrap servers: `kafka-1:9092,kafka-2:9092`.
    pub brokers: String,
    /// The topic that events are relayed to.
    pub topic: String,
    /// Copies of each partition, where the topic is made.
    pub replication: i16,
    /// More of librdkafka's settings, one `name=value` a line: `security.protocol=SASL_SSL`.
    pub properties_file: Option<PathBuf>,
    /// How long a request to a broker may take.
    pub deadline_ms: u64,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            topic: "sluice.events".into(),
            replication: 3,
            properties_file: None,
            deadline_ms: 5_000,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpiceDb {
    /// `https://spicedb:50051`; `http://` without TLS.
    pub endpoint: String,
    pub preshared_key: Secret,
    /// The certificate authority of its TLS certificate (PEM), where the system does not know it.
    pub ca_file: Option<PathBuf>,
    /// How long an answer may take; past it, it is a no.
    pub deadline_ms: u64,
    /// How many requests are under way at once; what is asked meanwhile is gathered into the next.
    pub max_in_flight: usize,
    /// How late a change of relationships may be heeded where decisions are kept; 0: each is asked for.
    pub max_staleness_ms: u64,
    /// Whether a start may write the authorization schema where it is absent or older.
    pub write_schema: bool,
}

impl Default for SpiceDb {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            preshared_key: Secret::default(),
            ca_file: None,
            deadline_ms: 1_000,
            max_in_flight: 2,
            max_staleness_ms: 2_000,
            write_schema: true,
        }
    }
}
