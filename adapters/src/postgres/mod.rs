//! What is durable on PostgreSQL 15 or newer: one database for all nodes, whose tables lie in the schema `sluice`.
//!
//! Locks that belong to a session and LISTEN need a connection of their own to the server: a pooler in between must pool by
//! session, not by transaction.

mod database;
mod error;
mod migrate;

pub use database::{Postgres, PostgresOptions, ServerInfo};
pub use error::OpenError;
pub use migrate::{Migrate, Migrated, migrate};
