//! An answer that its reader may take its time for.

use axum::body::Body;
use bytes::Bytes;

use super::viewers::Held;

/// In flight until the socket has taken all of it, or is gone: hyper keeps what it has not written as it was given.
struct Unread {
    answer: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Unread {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

/// The body of an answer that counts as what it answers did, for as long as it lies in memory.
pub(super) fn body(answer: impl Into<Bytes>, held: Held) -> Body {
    Bytes::from_owner(Unread { answer: answer.into(), _held: held }).into()
}
