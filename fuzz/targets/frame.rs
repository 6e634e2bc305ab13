//! What a client sends on a WebSocket, in any pieces: nothing panics, it is told as tungstenite as a server tells it, and no
//! more is kept than the limit allows.
//!
//! The first four bytes of an input are the lengths of the pieces, over and over; the rest is what the client sends.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tungstenite::{
    Error, Message, WebSocket,
    error::ProtocolError,
    protocol::{Role, WebSocketConfig},
};

// Where the decoder lies in the server, since its items are for its neighbours there only.
#[path = "../../src/transports"]
mod transports {
    mod websocket {
        mod decoder;
        pub(super) use decoder::{Decoder, Received};
    }
    use websocket::{Decoder, Received};

    use super::{KEPT, LIMIT, Told};

    /// What is told of bytes that come in pieces of these lengths, and why no more.
    pub(super) fn decode(bytes: &[u8], pieces: &[u8]) -> (Vec<Told>, Option<String>) {
        let (mut decoder, mut all, mut bytes) = (Decoder::new(LIMIT), Vec::new(), bytes.to_vec());
        let mut rest = &mut bytes[..];
        for length in pieces.iter().cycle() {
            let (piece, behind) = rest.split_at_mut(rest.len().min(usize::from(*length).max(1)));
            rest = behind;
            if let Err(violation) = decoder.decode(piece, |received| all.push(told(received))) {
                return (all, Some(format!("{violation:?}")));
            }
            assert!(decoder.held() <= KEPT, "{} bytes are kept", decoder.held());
            if rest.is_empty() {
                break;
            }
        }
        (all, None)
    }

    fn told(received: Received<'_>) -> Told {
        match received {
            Received::Text(text) => Told::Text(text.into()),
            Received::Binary(bytes) => Told::Binary(bytes.into()),
            Received::Ping(payload) => Told::Ping(payload.into()),
            Received::Pong => Told::Pong,
            Received::Close(payload) => {
                assert!(str::from_utf8(payload.get(2..).unwrap_or_default()).is_ok(), "a reason is text");
                Told::Close
            }
        }
    }
}

/// Short, so that it is soon reached; longer than a control frame, for which tungstenite has it too.
const LIMIT: usize = 200;

/// A message up to the limit, and a control frame within it of which one byte is missing.
const KEPT: usize = LIMIT + 14 + 125 - 1;

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    /// Of which tungstenite leaves out codes that may not be sent.
    Close,
}

/// Why nothing more is read.
enum Refused {
    NotText,
    Otherwise,
}

fuzz_target!(|input: &[u8]| {
    let (pieces, bytes) = input.split_at(input.len().min(4));
    let ours = transports::decode(bytes, if pieces.is_empty() { &[1] } else { pieces });
    assert_eq!(ours, transports::decode(bytes, &[255]), "it depends on the pieces");
    compare(bytes, &ours.0, ours.1.is_some());
});

fn compare(bytes: &[u8], ours: &[Told], violation: bool) {
    let (theirs, refused) = peer(bytes);
    match refused {
        // It looks at a text before that is whole. Until then only controls are told.
        Some(Refused::NotText) => {
            let (same, behind) = ours.split_at(ours.len().min(theirs.len()));
            assert_eq!(same, theirs, "until it refused the text");
            let is_control = |told: &Told| matches!(told, Told::Ping(_) | Told::Pong | Told::Close);
            assert!(behind.iter().all(is_control), "behind a bad text: {behind:?}");
        }
        Some(Refused::Otherwise) => assert_eq!((ours, violation), (&theirs[..], true)),
        // It looks at a frame when that is whole, where we look at its head: of a head that we refuse it gets the rest.
        None => {
            assert_eq!(ours, theirs);
            assert!(!violation || peer(&[bytes, &[0; LIMIT]].concat()).1.is_some(), "refused by us alone");
        }
    }
}

/// What tungstenite, as a server, makes of the same bytes.
fn peer(bytes: &[u8]) -> (Vec<Told>, Option<Refused>) {
    let config = WebSocketConfig::default().max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
    let config = config.read_buffer_size(512).write_buffer_size(0);
    let mut socket = WebSocket::from_raw_socket(Piped(bytes), Role::Server, Some(config));
    let mut all = Vec::new();
    loop {
        all.push(match socket.read() {
            Ok(Message::Text(text)) => Told::Text(text.as_str().into()),
            Ok(Message::Binary(bytes)) => Told::Binary(bytes.into()),
            Ok(Message::Ping(payload)) => Told::Ping(payload.into()),
            Ok(Message::Pong(_)) => Told::Pong,
            Ok(Message::Frame(_)) => continue,
            Ok(Message::Close(_)) => {
                all.push(Told::Close);
                return (all, None);
            }
            // The end of what there is: whether it was one of frames is not asked.
            Err(Error::Io(_) | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return (all, None),
            Err(Error::Utf8(_)) => return (all, Some(Refused::NotText)),
            Err(_) => return (all, Some(Refused::Otherwise)),
        });
    }
}

/// What is written goes nowhere.
struct Piped<'a>(&'a [u8]);

impl std::io::Read for Piped<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl std::io::Write for Piped<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
