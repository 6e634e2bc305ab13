//! Real-time eligibility: is this member covered?

pub mod aggregate;
#[cfg(test)]
pub(crate) mod arbitrary;
mod asking;
pub mod commands;
pub mod events;
mod failure;
mod history;
pub mod input;
pub mod payer;
pub mod process;
pub mod reader;
pub mod service_types;
