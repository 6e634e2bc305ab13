//! Real-time eligibility: is this member covered?

pub(crate) mod inputs;
pub(crate) mod loaders;
pub(crate) mod mutation;
pub(crate) mod query;
pub(crate) mod subscription;
