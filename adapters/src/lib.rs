//! The outside.

pub mod clearinghouse;
pub mod sqlite;
pub mod stedi;
