//! From an HTTP request to a bare socket (RFC 6455 §4).

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tungstenite::handshake::server::create_response_with_body;

use super::super::server::let_go_of_who_does_not_read;

pub(in super::super) fn wants_upgrade(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// An upgrade that was asked for as it should be.
pub(in super::super) struct Upgrade {
    /// What the client gets; when it was sent, the socket is there.
    pub(in super::super) response: Response,
    /// Whether the client speaks the subprotocol.
    pub(in super::super) agreed: bool,
    socket: OnUpgrade,
}

impl Upgrade {
    /// # Errors
    /// What is wrong with the request, as a sentence.
    pub(in super::super) fn of(mut request: Request, subprotocol: &'static str) -> Result<Self, &'static str> {
        let socket = request.extensions_mut().remove::<OnUpgrade>();
        let socket = socket.ok_or("This connection can't become a WebSocket: use HTTP/1.1.")?;
        let mut response = create_response_with_body(&request, Body::empty).map_err(|_| {
            "A WebSocket is asked for by a GET of HTTP/1.1 with `Connection: Upgrade`, `Upgrade: websocket`, \
             `Sec-WebSocket-Version: 13` and `Sec-WebSocket-Key`."
        })?;
        let agreed = offers(request.headers(), subprotocol);
        if agreed {
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
        }
        Ok(Self { response, agreed, socket })
    }

    /// The response, and the socket behind it with what the client has sent on it already.
    pub(in super::super) fn begin(self) -> (Response, impl Future<Output = Option<(TcpStream, Vec<u8>)>>) {
        let Self { response, socket, .. } = self;
        let socket = async {
            // The client may be gone before it had the response.
            let upgraded = socket.await.ok()?;
            let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
                tracing::error!("a connection is no TCP socket: its WebSocket can't be served");
                return None;
            };
            let socket = parts.io.into_inner();
            // It has pings, and a bounded queue.
            let_go_of_who_does_not_read(&socket, None);
            Some((socket, parts.read_buf.into()))
        };
        (response, socket)
    }
}

fn offers(headers: &HeaderMap, subprotocol: &str) -> bool {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|value| value.split(',')).any(|offered| offered.trim() == subprotocol)
}
