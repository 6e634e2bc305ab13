//! The log on a topic.

mod contract;
mod gateways;
mod history;
mod outage;
mod pipeline;
mod topic;
mod truth;
