//! The adapters of real parts, against those parts: `cargo xtask test` brings them up and says where they are.
#![allow(clippy::unwrap_used, reason = "all of it is tests")]

mod kafka;
#[expect(dead_code, reason = "each adapter brings its tests")]
mod services;
