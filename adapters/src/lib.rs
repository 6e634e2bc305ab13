//! The outside.

mod audit_chain;
pub mod audit_heads;
pub mod clearinghouse;
mod failpoint;
pub mod jwks;
pub mod kafka;
mod placement;
pub mod postgres;
mod private_file;
mod record;
mod retention;
mod revocation_row;
pub mod spicedb;
pub mod sqlite;
pub mod stedi;
mod window;
mod wrapped_keys;
