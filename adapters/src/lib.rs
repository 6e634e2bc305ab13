//! The outside.

pub mod clearinghouse;
mod failpoint;
mod placement;
pub mod postgres;
mod record;
mod retention;
pub mod sqlite;
pub mod stedi;
