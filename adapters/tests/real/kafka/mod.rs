//! Kafka: a topic for each test.

mod log;
mod relay;
mod relay_support;
