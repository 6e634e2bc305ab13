//! Kafka: a topic for each test.

mod relay;
mod relay_support;
