//! The outside.

pub mod clearinghouse;
mod failpoint;
pub mod kafka;
mod placement;
pub mod postgres;
pub mod sqlite;
pub mod stedi;
mod window;
