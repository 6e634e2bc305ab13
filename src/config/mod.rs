//! What can be set, and how it is read: flags over environment over file over defaults.
//!
//! [`Config::load`] is the one way in; a value of [`Config`] has been checked. Every key is in `sluice.example.toml` and in
//! docs/configuration.md (tests hold the three together).

mod error;
mod load;
mod period;
mod sections;

pub use error::ConfigError;
pub use load::Sources;
pub use period::Period;
pub use sections::{
    Auth, AuthMode, Clearinghouse, Config, Demo, Eligibility, Latency, Limits, LogFormat, Server, Telemetry,
};
