//! The process: wire protocols, tokens and what starts and stops them.

pub mod app;
pub mod auth;
pub mod cli;
mod clock;
pub mod config;
mod doctor;
mod gate;
pub mod health;
pub mod panics;
pub mod ready;
pub mod shutdown;
pub mod telemetry;
pub mod transports;
