//! The outside.

pub mod clearinghouse;
pub mod spicedb;
pub mod sqlite;
pub mod stedi;
