//! Sluice's rules: what may happen, and what follows. No IO and no GraphQL; the outside is reached through ports.

pub mod changes;
pub mod eligibility;
pub mod emergency;
pub mod keyring;
pub mod publish;
pub mod publishing;
pub mod store;
mod text;
#[cfg(any(test, feature = "contract"))]
pub mod twins;
