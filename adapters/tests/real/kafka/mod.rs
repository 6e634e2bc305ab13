//! Kafka: a topic for each test.

mod relay;
mod relay_replaced;
mod relay_restart;
mod relay_support;
