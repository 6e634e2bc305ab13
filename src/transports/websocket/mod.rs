//! WebSocket (RFC 6455) over the bare TCP socket that an HTTP exchange leaves behind. Why not a library's stream: ADR 18.
//!
//! A connection holds no buffer while nothing is under way: what is read lies in a buffer of the thread, and what is
//! written is put together there, from bytes that sockets share. The handshake and the frame headers are tungstenite's.

mod decoder;
mod frame;
mod handshake;

pub(super) use self::{
    decoder::{Decoder, Received, Violation},
    frame::{MAX_REASON, begin_text, close_payload, closing_code, control},
    handshake::{Upgrade, wants_upgrade},
};
