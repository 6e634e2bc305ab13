use proptest::prelude::*;
use tungstenite::{
    Message, WebSocket,
    protocol::{Role, WebSocketConfig},
};

use super::*;

const LIMIT: usize = 300;

/// A frame as a client sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn told(received: Received<'_>) -> String {
    match received {
        Received::Text(text) => format!("text {text}"),
        Received::Binary(bytes) => format!("binary {bytes:?}"),
        Received::Ping(payload) => format!("ping {payload:?}"),
        Received::Pong => "pong".into(),
        Received::Close(payload) => format!("close {payload:?}"),
    }
}

/// What is told of bytes that come in pieces of this length.
fn decode(bytes: &[u8], piece: usize) -> (Vec<String>, Option<Violation>) {
    let (mut decoder, mut all) = (Decoder::new(LIMIT), Vec::new());
    for piece in bytes.to_vec().chunks_mut(piece) {
        if let Err(violation) = decoder.decode(piece, |received| all.push(told(received))) {
            return (all, Some(violation));
        }
    }
    (all, None)
}

#[test]
fn what_is_whole_is_told_however_it_comes() {
    let long = "x".repeat(LIMIT);
    let bytes = [
        frame(0x81, b"one"),
        frame(0x01, "t\u{e9}".as_bytes().split_at(2).0),
        frame(0x89, b"?"),
        frame(0x00, b""),
        frame(0x80, "t\u{e9}".as_bytes().split_at(2).1),
        frame(0x8a, b""),
        frame(0x82, &[1, 2]),
        frame(0x81, long.as_bytes()),
        frame(0x88, &1000_u16.to_be_bytes()),
        frame(0x81, b"behind the end"),
    ];
    let long = format!("text {long}");
    let expected = ["text one", "ping [63]", "text t\u{e9}", "pong", "binary [1, 2]", &long, "close [3, 232]"];
    for piece in [1, 2, 3, 7, 100, 10_000] {
        assert_eq!(decode(&bytes.concat(), piece), (expected.map(str::to_owned).to_vec(), None), "{piece} at a time");
    }
}

#[test]
fn what_no_client_may_send_ends_it() {
    let unmasked = [0x81, 1, b'x'].to_vec();
    let cases = [
        ("unmasked", unmasked, Violation::Protocol),
        ("a reserved bit", frame(0xc1, b"x"), Violation::Protocol),
        ("a reserved kind of data", frame(0x83, b"x"), Violation::Protocol),
        ("a reserved control", frame(0x8b, b"x"), Violation::Protocol),
        ("a ping in fragments", frame(0x09, b"x"), Violation::Protocol),
        ("a long ping", frame(0x89, &[0; 126]), Violation::Protocol),
        ("half a close code", frame(0x88, &[3]), Violation::Protocol),
        ("a continuation of nothing", frame(0x80, b"x"), Violation::Protocol),
        ("a text within a text", [frame(0x01, b"x"), frame(0x81, b"y")].concat(), Violation::Protocol),
        ("no text", frame(0x81, &[0xff]), Violation::NotText),
        ("too long", frame(0x81, &[b'x'; LIMIT + 1]), Violation::TooBig),
        ("too long in fragments", [frame(0x01, &[b'x'; LIMIT]), frame(0x80, b"y")].concat(), Violation::TooBig),
    ];
    for (what, bytes, violation) in cases {
        for piece in [1, 1000] {
            assert_eq!(decode(&bytes, piece), (Vec::new(), Some(violation)), "{what}, {piece} at a time");
        }
    }
    // Before its payload is there: nothing is kept of it.
    assert_eq!(
        decode(&[0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], 14).1,
        Some(Violation::TooBig)
    );
}

#[test]
fn nothing_is_held_while_nothing_is_under_way() {
    let mut decoder = Decoder::new(LIMIT);
    let bytes = [frame(0x01, b"one"), frame(0x80, b"two")].concat();
    for piece in bytes.clone().chunks_mut(3) {
        decoder.decode(piece, |_| {}).unwrap();
    }
    assert_eq!(decoder.held(), 0);
    assert_eq!(decoder.partial.capacity(), 0);
    assert!(decoder.message.is_none());
}

/// What tungstenite, as a server, makes of the same bytes.
fn peer(bytes: &[u8]) -> (Vec<String>, bool) {
    let config = WebSocketConfig::default().max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
    let mut socket =
        WebSocket::from_raw_socket(Piped(std::io::Cursor::new(bytes.to_vec())), Role::Server, Some(config));
    let mut all = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => all.push(told(Received::Text(&text))),
            Ok(Message::Binary(bytes)) => all.push(told(Received::Binary(&bytes))),
            Ok(Message::Ping(payload)) => all.push(told(Received::Ping(&payload))),
            Ok(Message::Pong(_)) => all.push(told(Received::Pong)),
            // It leaves codes and reasons that may not be sent out of what it tells.
            Ok(Message::Close(_)) => {
                all.push("close".into());
                return (all, false);
            }
            Ok(Message::Frame(_)) => {}
            // The end of what there is: whether it was one of frames is not asked.
            Err(
                tungstenite::Error::Io(_)
                | tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake),
            ) => return (all, false),
            Err(_) => return (all, true),
        }
    }
}

/// What is written goes nowhere.
struct Piped(std::io::Cursor<Vec<u8>>);

impl std::io::Read for Piped {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl std::io::Write for Piped {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => proptest::sample::select(vec![0x81_u8, 0x82, 0x01, 0x80, 0x00, 0x89, 0x8a, 0x88]),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        4 => "[a-zé€]{0,40}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..200),
    ];
    let frames = proptest::collection::vec((first, payload), 0..8);
    frames.prop_map(|frames| frames.iter().flat_map(|(first, payload)| frame(*first, payload)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn it_tells_what_a_known_implementation_tells(bytes in frames(), piece in 1_usize..64) {
        let (ours, violation) = decode(&bytes, piece);
        let (theirs, refused) = peer(&bytes);
        let ours: Vec<_> = ours.into_iter().map(|told| if told.starts_with("close") { "close".into() } else { told }).collect();
        if refused {
            let begun = bytes.contains(&0x01);
            prop_assert!(violation.is_some() || begun, "only a text in fragments is taken for longer");
            // It looks at a text before that is whole. Until then only controls are told.
            prop_assert_eq!(&ours[..theirs.len()], &theirs[..]);
            let is_control = |told: &String| told.starts_with("p") || told == "close";
            prop_assert!(ours[theirs.len()..].iter().all(is_control), "{ours:?}");
        } else {
            prop_assert_eq!((ours, violation.is_some()), (theirs, refused));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), piece in 1_usize..64) {
        decode(&bytes, piece);
    }
}
