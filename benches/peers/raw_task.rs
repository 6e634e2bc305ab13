//! The same with the crates that people take: a task for each connection, which waits for its channel's broadcast and writes
//! through a WebSocket layer.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocket};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::broadcast::{self, error::RecvError},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message, Utf8Bytes, protocol::WebSocketConfig},
};

use crate::{frame, greet, role::Peer, sample, sample::Event};

/// How many events a connection may be behind before it misses some.
pub(crate) const CAPACITY: usize = 1024;

/// What frames are read and written by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layer {
    /// tokio-tungstenite at its defaults: buffers of 128 KiB.
    Tungstenite,
    /// The same with buffers of 4 KiB, and each message written at once.
    SmallTungstenite,
    FastWebsockets,
    /// yawc, without compression.
    Yawc,
    /// None: frames that are put together once are written as they are, and what comes is thrown away.
    Bare,
}

type Channels = Arc<Mutex<HashMap<u32, broadcast::Sender<Bytes>>>>;

pub(crate) struct RawTask {
    layer: Layer,
    channels: Channels,
    _runtime: tokio::runtime::Runtime,
}

impl RawTask {
    pub(crate) fn start(layer: Layer) -> Result<(SocketAddr, Self), String> {
        let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let channels = Channels::default();
        runtime.spawn(accept(listener, channels.clone(), layer));
        Ok((address, Self { layer, channels, _runtime: runtime }))
    }
}

impl Peer for RawTask {
    fn publish(&mut self, events: &[Event]) -> Result<(), String> {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            if let Some(channel) = channels.get(&event.channel) {
                let message = sample::message(event);
                let bytes = match self.layer {
                    Layer::Bare => frame::of_server(frame::TEXT, message.as_bytes()),
                    _ => message.into_bytes(),
                };
                // An error means that nobody listens any more.
                let _ = channel.send(bytes.into());
            }
        }
        Ok(())
    }
}

async fn accept(listener: TcpListener, channels: Channels, layer: Layer) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, channels.clone(), layer));
    }
}

async fn connection(mut stream: TcpStream, channels: Channels, layer: Layer) {
    let Ok(()) = stream.set_nodelay(true) else { return };
    let Some(channel) = greet::greet(&mut stream).await else { return };
    let sender = |channels: &Channels| {
        let mut channels = channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.entry(channel).or_insert_with(|| broadcast::Sender::new(CAPACITY)).subscribe()
    };
    let events = sender(&channels);
    let small = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
    match layer {
        Layer::Tungstenite => tungstenite_layer(stream, events, WebSocketConfig::default()).await,
        Layer::SmallTungstenite => tungstenite_layer(stream, events, small).await,
        Layer::FastWebsockets => fastwebsockets_layer(stream, events).await,
        Layer::Yawc => yawc_layer(stream, events).await,
        Layer::Bare => bare(stream, events).await,
    }
}

/// The next event; `None`: there will be no more.
async fn next(events: &mut broadcast::Receiver<Bytes>) -> Option<Bytes> {
    loop {
        match events.recv().await {
            Ok(event) => return Some(event),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

async fn tungstenite_layer(stream: TcpStream, mut events: broadcast::Receiver<Bytes>, config: WebSocketConfig) {
    let server = tungstenite::protocol::Role::Server;
    let mut socket = WebSocketStream::from_raw_socket(stream, server, Some(config)).await;
    loop {
        tokio::select! {
            event = next(&mut events) => {
                let Some(text) = event.and_then(|event| Utf8Bytes::try_from(event).ok()) else { return };
                if socket.send(Message::Text(text)).await.is_err() {
                    return;
                }
            }
            heard = socket.next() => if !matches!(heard, Some(Ok(_))) { return },
        }
    }
}

async fn fastwebsockets_layer(stream: TcpStream, mut events: broadcast::Receiver<Bytes>) {
    let mut socket = WebSocket::after_handshake(stream, Role::Server);
    loop {
        tokio::select! {
            event = next(&mut events) => {
                let Some(event) = event else { return };
                if socket.write_frame(Frame::text(Payload::Borrowed(&event))).await.is_err() {
                    return;
                }
            }
            heard = socket.read_frame() => if heard.map_or(true, |frame| frame.opcode == OpCode::Close) { return },
        }
    }
}

async fn yawc_layer(stream: TcpStream, mut events: broadcast::Receiver<Bytes>) {
    let options = yawc::Options::default().with_no_delay();
    let Ok(mut socket) = yawc::WebSocket::from_stream(stream, yawc::Role::Server, options) else { return };
    loop {
        tokio::select! {
            event = next(&mut events) => {
                let Some(event) = event else { return };
                if socket.send(yawc::Frame::text(event)).await.is_err() {
                    return;
                }
            }
            heard = socket.next() => if heard.is_none_or(|frame| frame.opcode() == yawc::frame::OpCode::Close) { return },
        }
    }
}

async fn bare(mut stream: TcpStream, mut events: broadcast::Receiver<Bytes>) {
    let mut heard = [0; 256];
    loop {
        tokio::select! {
            event = next(&mut events) => {
                let Some(event) = event else { return };
                if stream.write_all(&event).await.is_err() {
                    return;
                }
            }
            count = stream.read(&mut heard) => if !matches!(count, Ok(1..)) { return },
        }
    }
}
