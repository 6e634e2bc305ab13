//! Sluice's rules: what may happen, and what follows. No IO and no GraphQL; the outside is reached through ports.

pub mod eligibility;
pub mod keyring;
pub mod store;
