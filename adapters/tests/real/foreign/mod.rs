//! Foreign topics on a real Kafka: each test has topics, groups and a store of its own.

mod counts;
mod delivery;
mod letters;
mod messages;
mod missing;
mod outage;
mod poison;
mod rebalance;
mod setup;
