//! What can be set, and how it is read: flags over environment over file over defaults.
//!
//! [`Config::load`] is the one way in; a value of [`Config`] has been checked. Every key is in `sluice.example.toml` and in
//! docs/configuration.md (tests hold the three together).

mod check;
mod error;
mod load;
mod parts;
mod period;
mod secret;
mod sections;

pub use error::ConfigError;
pub use load::Sources;
pub use parts::{Kafka, LogKind, Parts, Postgres, RelationshipsKind, SpiceDb, StoreKind};
pub use period::Period;
pub use secret::Secret;
pub use sections::{
    Audit, Auth, AuthMode, Clearinghouse, Config, Demo, Eligibility, Latency, Limits, LogFormat, Role, Server,
    Telemetry,
};
