//! The parts as somebody who can stop them.

mod memory;
mod paused;
mod postmaster;
mod relationships;
mod topic;

pub(crate) use self::{
    memory::resident, paused::Paused, postmaster::Postmaster, relationships::revoke_guardian, topic::Topic,
};
