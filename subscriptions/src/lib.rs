//! Sluice's engine: from the log to the socket.

pub mod audit;
pub mod deliver;
pub mod log;
pub mod relationships;
