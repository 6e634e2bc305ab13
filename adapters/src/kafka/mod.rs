//! Apache Kafka: the relay that copies the store to a topic, and the log that gateways read from it.
//!
//! # Format of a record
//!
//! - partition: that of the event's position, named explicitly;
//! - key: HMAC-SHA-256 under the installation's key of tenant, routing key's kind (4 bytes, big-endian) and id, each behind
//!   its length (8, big-endian), cut to 16 bytes;
//! - value: the sealed payload;
//! - headers: `sluice-epoch`, `sluice-seq`, `sluice-version` (8 bytes each, big-endian) and `sluice-header`, the event's
//!   `shared.events.v1.Header` in protobuf;
//! - timestamp: the header's `published_at`, or the time of sending where that is ahead of the relay's clock.
//!
//! No PHI is in the clear. A partition holds its events in the order of their seqs; a relay that starts again repeats some.

pub(crate) mod client;
pub(crate) mod error;
pub mod foreign;
mod log;
mod record;
mod relay;
mod seek;
mod topic;

pub use client::KafkaOptions;
pub use error::OpenError;
pub use log::{KafkaLog, LogOptions};
pub use relay::{Relay, RelayError};
pub use topic::{TopicOptions, TopicState, empty_topic, ensure_topic, inspect_topic, topic_exists};
