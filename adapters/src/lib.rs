//! The outside.

pub mod clearinghouse;
mod failpoint;
pub mod kafka;
mod placement;
pub mod postgres;
mod record;
mod retention;
pub mod sqlite;
pub mod stedi;
mod window;
