//! The outside.

pub mod clearinghouse;
mod failpoint;
mod placement;
pub mod postgres;
pub mod sqlite;
pub mod stedi;
