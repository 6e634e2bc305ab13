//! Histories: gateways run, relationships change, events come, and everything that anybody was shown is held against what
//! she was allowed to see when it was decided.
//!
//! What is allowed when follows from the changes, by the evaluator that was held against SpiceDB, and is held against what
//! the real parts answer after each change. On the real parts there are two gateways and another client of SpiceDB.

#![allow(dead_code, unused_imports, reason = "one set of tests uses some of it, another the rest")]

pub(crate) mod bugs;
mod changes;
mod checker;
mod link;
mod people;
mod play;
mod publisher;
mod record;
mod stage;
mod tampered;
mod truth;
mod watcher;

pub(crate) use self::{
    checker::{Fault, Finding, kinds},
    link::Trouble,
    play::{Extent, Play, Played},
    tampered::TAMPERINGS,
};
