//! What is durable in a data directory, on SQLite: the event store that is the log too, the audit trail, the keys, the
//! relationships, the subscribers and the revoked tokens, each a file of its own with one writer of its own.

mod audit;
mod data_dir;
mod database;
mod error;
mod keyring;
mod relationships;
mod revocations;
mod store;
mod subscribers;
#[cfg(test)]
mod test_support;
mod wal;
mod writer;

pub use audit::{AuditReader, SqliteAudit};
pub use data_dir::DataDir;
pub use error::OpenError;
pub use keyring::SqliteKeyring;
pub use relationships::SqliteJournal;
pub use revocations::SqliteRevocations;
pub use store::{SqliteStore, StoreOptions};
pub use subscribers::SqliteSubscribers;
