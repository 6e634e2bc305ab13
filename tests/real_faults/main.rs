//! What only the real parts can have: several processes of one installation, and parts that are away for a while.
//!
//! A part that one test has stopped is away for all: they run one at a time (`--test-threads=1`).
#![allow(clippy::unwrap_used, reason = "all of it is tests")]

#[path = "../e2e/crash/clients/mod.rs"]
mod clients;
mod crash;
mod doctor;
mod epoch;
#[path = "../e2e/crash/evidence.rs"]
mod evidence;
#[path = "../e2e/crash/fault.rs"]
mod fault;
#[allow(dead_code, unused_imports, reason = "other tests use the rest of it")]
#[path = "../e2e/harness/mod.rs"]
mod harness;
mod histories;
#[path = "../history/mod.rs"]
mod history;
#[allow(dead_code, unused_imports, reason = "other tests use the rest of it")]
#[path = "../installation/mod.rs"]
mod installation;
mod kafka;
mod parts;
mod postgres;
mod scene;
mod spicedb;
#[path = "../../adapters/tests/real/paused.rs"]
mod standstill;
mod two_gateways;
