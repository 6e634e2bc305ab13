//! Sluice's engine: from the log to the socket.

pub mod access;
pub mod audit;
pub mod deliver;
pub mod engine;
pub mod log;
pub mod opened;
pub mod relationships;
pub mod render;
pub mod revocations;
pub mod route;
pub mod subscribers;
pub mod worker;
