//! Sluice's GraphQL graph: a folder for each capability, and what they share.

mod access;
mod annotated;
mod arguments;
mod eligibility;
mod errors;
mod events;
mod graph;
#[cfg(test)]
mod guard_tests;
mod members;
mod operation;
mod projection;
mod roots;
mod scope;
mod security;
mod selection;

pub use graph::{Answer, Graph, Services};
pub use operation::{Limits, Operation, OperationType, RawRequest};
pub use roots::sdl;
