//! The handshakes of the bare servers: the WebSocket's (RFC 6455, section 4), then graphql-transport-ws up to `subscribe`.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{frame, sample};

pub(crate) const ACKNOWLEDGED: &str = r#"{"type":"connection_ack"}"#;

/// Answers with the channel that the client subscribed to.
pub(crate) async fn greet(stream: &mut TcpStream) -> Option<u32> {
    let mut heard = Vec::new();
    let head = loop {
        if let Some(end) = heard.windows(4).position(|window| window == b"\r\n\r\n") {
            break heard.drain(..end + 4).collect::<Vec<u8>>();
        }
        stream.read_buf(&mut heard).await.ok().filter(|count| *count > 0)?;
    };
    stream.write_all(accept(&String::from_utf8(head).ok()?)?.as_bytes()).await.ok()?;
    loop {
        while let Some(frame) = frame::read(&heard) {
            let message: Value = serde_json::from_slice(frame.payload).ok()?;
            let length = frame.length;
            match channel(&message) {
                Some(channel) => return Some(channel),
                None => {
                    stream.write_all(&frame::of_server(frame::TEXT, ACKNOWLEDGED.as_bytes())).await.ok()?;
                }
            }
            heard.drain(..length);
        }
        stream.read_buf(&mut heard).await.ok().filter(|count| *count > 0)?;
    }
}

/// The channel of a `subscribe`.
pub(crate) fn channel(message: &Value) -> Option<u32> {
    sample::channel_of(message["payload"]["variables"]["channel"].as_str()?)
}

fn accept(request: &str) -> Option<String> {
    let mut lines = request.lines();
    let key =
        lines.find_map(|line| line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key")));
    let salted = format!("{}258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key?.1.trim());
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, salted.as_bytes());
    Some(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        STANDARD.encode(digest)
    ))
}
