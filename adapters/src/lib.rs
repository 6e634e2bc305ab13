//! The outside.

pub mod clearinghouse;
pub mod kafka;
pub mod sqlite;
pub mod stedi;
