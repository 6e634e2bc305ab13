//! The outside.

mod audit_chain;
pub mod clearinghouse;
mod failpoint;
mod placement;
pub mod postgres;
mod record;
mod retention;
pub mod sqlite;
pub mod stedi;
mod wrapped_keys;
