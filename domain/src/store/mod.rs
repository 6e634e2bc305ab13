//! The store of events: the port.

#[cfg(any(test, feature = "contract"))]
pub mod contract;

use std::sync::Arc;

use async_trait::async_trait;
use prost::Message;
use sluice_schema::{
    event::{NewEvent, RecordedEvent, StreamId},
    ids::TenantId,
    position::{Position, ReadVector},
    proto::header::{RoutingKey, Subject},
};

/// The largest event that a store takes: the bytes of its header and its payload. What is stored has to fit into a record of
/// Kafka (8 MiB), whether or not there is one yet: a larger event could never be relayed, and none behind it in its partition.
/// The rest is room for what a record has besides.
pub const MAX_EVENT_BYTES: usize = (8 << 20) - (64 << 10);

/// Events to append to one stream in one transaction.
#[derive(Debug, Clone)]
pub struct Append {
    pub tenant: TenantId,
    pub stream: StreamId,
    /// How many events the stream has; 0 for a new one.
    pub expected_version: u64,
    /// At least one; all carry the same routing key.
    pub events: Vec<NewEvent>,
    pub idempotency: Option<Idempotency>,
}

impl Append {
    /// Whether each event is at most `largest` bytes; stores ask with [`MAX_EVENT_BYTES`], before they write anything.
    ///
    /// # Errors
    /// [`AppendError::TooLarge`], of the first that is not.
    pub fn fits(&self, largest: usize) -> Result<(), AppendError> {
        let sizes = self.events.iter().map(|event| event.header.encoded_len() + event.payload.0.len());
        sizes
            .filter(|bytes| *bytes > largest)
            .map(|bytes| Err(AppendError::TooLarge { bytes, largest }))
            .next()
            .unwrap_or(Ok(()))
    }
}

/// What makes a repeated request answer as the first one did. Kept with the events, in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Principal and mutation: `u-1/requestEligibilityCheck`. The tenant is the append's.
    pub scope: String,
    /// The client's key.
    pub key: String,
    /// An HMAC of the input: inputs hold PHI.
    pub input_hash: [u8; 32],
    /// What to answer to a repeat: an id.
    pub result: String,
}

/// How an append ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// The events are durable, at these places. `heads`: how far each partition was right after.
    Fresh { positions: Vec<Position>, heads: ReadVector },
    /// The same request was here before: nothing was written. `result` is what the first one stored.
    Repeated { result: String, heads: ReadVector },
}

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The stream has another version: somebody else was first.
    #[error("the stream has {actual} events, not the expected number")]
    Conflict { actual: u64 },
    /// The key was used with another input.
    #[error("the idempotency key was used with another input")]
    IdempotencyConflict,
    /// An event could not be passed on: trying again changes nothing.
    #[error("an event has {bytes} bytes, and {largest} is the most")]
    TooLarge { bytes: usize, largest: usize },
    /// Whether it happened is not known where the connection broke during COMMIT: retry with the same idempotency key.
    #[error("the event store can't be written now: {0}")]
    Unavailable(String),
}

#[derive(Debug, thiserror::Error)]
#[error("the event store can't be read now: {0}")]
pub struct StoreUnavailable(pub String);

/// A page of entities, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Continue behind this entity id.
    pub after: Option<String>,
    pub limit: usize,
}

/// Where events become durable.
///
/// - `append` writes all events, the idempotency record and the index of current states in one transaction, or nothing, and
///   answers when they are on disk. It looks at the events' sizes first, then at the idempotency record, then at the expected
///   version.
/// - Each event gets the next dense seq of its partition; the partition follows from tenant and routing key alone. Seq
///   order is commit order.
/// - `append_many` handles each append on its own (one may fail and the next succeed), in order, and may commit them together.
/// - Reads see every append that was answered before they began.
/// - Dropping an append's future leaves open whether it happened.
#[async_trait]
pub trait EventStore: Send + Sync {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let mut results = self.append_many(vec![append]).await;
        results.pop().unwrap_or_else(|| Err(AppendError::Unavailable("no answer".into())))
    }

    /// One result for each append, in order.
    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>>;

    /// All events of a stream, in order; none where there is no such stream.
    async fn load(&self, tenant: &TenantId, stream: &StreamId) -> Result<Vec<Arc<RecordedEvent>>, StoreUnavailable>;

    /// For each entity the last event that holds its whole state.
    async fn current(
        &self,
        tenant: &TenantId,
        entities: &[Subject],
    ) -> Result<Vec<Option<Arc<RecordedEvent>>>, StoreUnavailable>;

    /// The current states of the entities of one type under a routing key, newest id first.
    async fn list(
        &self,
        tenant: &TenantId,
        entity_type: &str,
        routing_key: &RoutingKey,
        page: &Page,
    ) -> Result<Vec<Arc<RecordedEvent>>, StoreUnavailable>;

    /// How far each partition is, durable.
    fn heads(&self) -> ReadVector;
}
