//! Kafka: a topic for each test, and for faults a broker of their own.

mod broker;
mod log;
mod relay;
mod relay_broker;
#[cfg(feature = "failpoints")]
mod relay_crash;
mod relay_latency;
mod relay_replaced;
mod relay_restart;
mod relay_support;
mod relay_topic;
