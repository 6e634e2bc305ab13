//! The outside.

mod audit_chain;
pub mod clearinghouse;
mod failpoint;
mod placement;
pub mod postgres;
pub mod sqlite;
pub mod stedi;
mod wrapped_keys;
