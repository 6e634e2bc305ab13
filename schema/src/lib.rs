//! Sluice's vocabulary. No IO.

pub mod access;
pub mod channel;
pub mod error;
pub mod event;
pub mod graphql;
pub mod ids;
pub mod position;
pub mod proto;
pub mod sealed;
pub mod token;
pub mod viewer;
