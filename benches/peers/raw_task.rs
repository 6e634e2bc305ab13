//! The same with the crate that people take: tokio-tungstenite at its defaults, and a task for each connection, which waits
//! for its channel's broadcast.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast::{self, error::RecvError},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message, Utf8Bytes,
        handshake::server::{ErrorResponse, Request, Response},
        http::HeaderValue,
    },
};

use crate::{greet, role::Peer, sample, sample::Event};

/// How many events a connection may be behind before it misses some.
pub(crate) const CAPACITY: usize = 1024;

type Channels = Arc<Mutex<HashMap<u32, broadcast::Sender<Utf8Bytes>>>>;

pub(crate) struct RawTask {
    channels: Channels,
    _runtime: tokio::runtime::Runtime,
}

impl RawTask {
    pub(crate) fn start() -> Result<(SocketAddr, Self), String> {
        let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let channels = Channels::default();
        runtime.spawn(accept(listener, channels.clone()));
        Ok((address, Self { channels, _runtime: runtime }))
    }
}

impl Peer for RawTask {
    fn publish(&mut self, events: &[Event]) -> Result<(), String> {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            if let Some(channel) = channels.get(&event.channel) {
                // An error means that nobody listens any more.
                let _ = channel.send(sample::message(event).into());
            }
        }
        Ok(())
    }
}

async fn accept(listener: TcpListener, channels: Channels) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, channels.clone()));
    }
}

#[expect(clippy::result_large_err, reason = "tungstenite's own signature")]
fn agree(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("graphql-transport-ws"));
    Ok(response)
}

async fn connection(stream: TcpStream, channels: Channels) {
    let Ok(()) = stream.set_nodelay(true) else { return };
    let Ok(mut socket) = accept_hdr_async(stream, agree).await else { return };
    let Some(channel) = subscribed(&mut socket).await else { return };
    let sender = |channels: &Channels| {
        let mut channels = channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.entry(channel).or_insert_with(|| broadcast::Sender::new(CAPACITY)).subscribe()
    };
    let mut events = sender(&channels);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => if socket.send(Message::Text(event)).await.is_err() { return },
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            heard = socket.next() => if !matches!(heard, Some(Ok(_))) { return },
        }
    }
}

async fn subscribed(socket: &mut WebSocketStream<TcpStream>) -> Option<u32> {
    loop {
        let Message::Text(text) = socket.next().await?.ok()? else { continue };
        let message: Value = serde_json::from_str(&text).ok()?;
        if let Some(channel) = greet::channel(&message) {
            return Some(channel);
        }
        socket.send(Message::text(greet::ACKNOWLEDGED)).await.ok()?;
    }
}
