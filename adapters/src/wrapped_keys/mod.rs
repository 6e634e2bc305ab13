//! How keys are kept, whatever they are kept in: data keys are wrapped by a key of their tenant, and what was unwrapped is
//! remembered.

mod cache;
mod tenant;
mod wrapping;

pub(crate) use self::{
    cache::Cache,
    tenant::{Secrets, TenantKeys},
    wrapping::WrappingKey,
};
