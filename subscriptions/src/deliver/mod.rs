//! The last step: from rendered bytes to whoever subscribed.

use std::pin::Pin;

use bytes::Bytes;
use sluice_schema::{
    error::{ClientError, Code},
    position::ReadVector,
};

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

    /// What was handed over may not be for this viewer any more: after a change of who may see what. What has not left within a
    /// moment must not leave at all. Resolves once that is so; `None`: nothing waits.
    fn recall(&self) -> Option<Recalled> {
        None
    }

    /// The subscription is over: by an error, or (`None`) because it is complete. What was handed over still goes before it,
    /// unless [`takes_back`] says that it must not.
    fn end(&self, error: Option<ClientError>);
}

/// See [`Subscriber::recall`].
pub type Recalled = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whether an end like this takes back what waits before it.
pub fn takes_back(error: Option<&ClientError>) -> bool {
    error.is_some_and(|error| error.code == Code::PermissionRevoked)
}

/// Why a subscriber takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// The connection is closed.
    Closed,
    /// Its queue is full: the transport tells the client to resume by cursor.
    Lagging,
}
