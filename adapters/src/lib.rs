//! The outside.

mod audit_chain;
pub mod clearinghouse;
pub mod sqlite;
pub mod stedi;
mod wrapped_keys;
