//! The outside.

mod audit_chain;
pub mod clearinghouse;
mod failpoint;
pub mod jwks;
pub mod kafka;
mod placement;
pub mod postgres;
mod record;
mod retention;
pub mod spicedb;
pub mod sqlite;
pub mod stedi;
mod window;
mod wrapped_keys;
