//! Apache Kafka: the relay that copies the store to a topic, and the log that gateways read from it.

pub(crate) mod client;
pub(crate) mod error;
pub mod foreign;

pub use client::KafkaOptions;
pub use error::OpenError;
