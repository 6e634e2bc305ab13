//! The last step: from rendered bytes to whoever subscribed.

use bytes::Bytes;
use sluice_schema::{error::ClientError, position::ReadVector};

/// The receiving end of one subscription: a transport makes one, the engine feeds it.
///
/// - Both calls return at once; they queue and never wait for the network.
/// - What is handed over was authorized and audited.
/// - After an `Err` or `end` the engine hands nothing more over.
pub trait Subscriber: Send + Sync {
    /// One event, rendered in the subscription's format. The bytes may be shared with other subscribers. `place` is the
    /// event's cursor as a vector: a transport that tells progress (pings) must never tell an older one after it.
    fn next(&self, payload: &Bytes, place: &ReadVector) -> Result<(), Gone>;

    /// All that there is for now was handed over: a transport that gathers it sends it. It returns at once, too.
    fn flush(&self) {}

    /// The subscription is over: by an error, or (`None`) because it is complete.
    fn end(&self, error: Option<ClientError>);
}

/// Why a subscriber takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// The connection is closed.
    Closed,
    /// Its queue is full: the transport tells the client to resume by cursor.
    Lagging,
}
