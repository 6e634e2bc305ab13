//! The adapters of real parts, against those parts: `cargo xtask test` brings them up and says where they are.
#![allow(clippy::unwrap_used, reason = "all of it is tests")]

mod foreign;
mod kafka;
mod paused;
mod postgres;
mod services;
mod shared_state;
mod spicedb;
