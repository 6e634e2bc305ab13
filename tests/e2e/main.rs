//! The built binary as its clients see it.
#![allow(clippy::unwrap_used, reason = "all of it is tests")]
#![cfg_attr(not(feature = "failpoints"), expect(dead_code, reason = "part of the harness is for faults"))]

mod access_table;
mod ahead;
mod audit;
mod certificate;
mod changes;
#[cfg(feature = "failpoints")]
mod crash;
mod guard;
mod harness;
mod histories;
#[path = "../history/mod.rs"]
mod history;
#[path = "../installation/mod.rs"]
mod installation;
mod keys;
mod leaks;
mod main_path;
mod process;
mod refusals;
mod revoked_tokens;
mod schema;
