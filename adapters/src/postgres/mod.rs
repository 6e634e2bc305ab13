//! What is durable on PostgreSQL 15 or newer: one database for all nodes, whose tables lie in the schema `sluice`.
//!
//! Locks that belong to a session and LISTEN need a connection of their own to the server: a pooler in between must pool by
//! session, not by transaction.

mod audit;
mod database;
mod error;
mod keyring;
mod lease;
mod migrate;
mod revocations;
mod store;
mod subscribers;

pub use audit::{PostgresAudit, PostgresAuditReader};
pub use database::{Postgres, PostgresOptions, ServerInfo};
pub use error::OpenError;
pub use keyring::{MasterKey, MasterKeyError, PostgresKeyring};
pub use lease::Lease;
pub use migrate::{Migrate, Migrated, migrate};
pub use revocations::PostgresRevocations;
pub use store::{PostgresStore, RecentLog, StoreOptions};
pub use subscribers::PostgresSubscribers;
