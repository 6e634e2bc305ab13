//! What is durable in a data directory, on SQLite: the event store that is the log too, the audit trail, the keys and the
//! relationships, each a file of its own with one writer of its own.

mod audit;
mod data_dir;
mod database;
mod error;
mod keyring;
mod relationships;
mod store;
#[cfg(test)]
mod test_support;
mod wal;
mod writer;

pub use audit::{AuditReader, SqliteAudit};
pub use data_dir::DataDir;
pub use error::OpenError;
pub use keyring::SqliteKeyring;
pub use relationships::SqliteJournal;
pub use store::{SqliteStore, StoreOptions};
