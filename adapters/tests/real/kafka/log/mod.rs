//! The log on a topic.

mod contract;
mod pipeline;
mod topic;
