//! A graphql-transport-ws client that adds nothing and drops nothing: what came is in its log, as it came.

use std::collections::{HashMap, VecDeque};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue, protocol::CloseFrame},
};

use super::soon;

/// What the server said about an operation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Frame {
    /// The payload: `data` and `extensions`.
    Next(Value),
    /// The list of errors.
    Error(Value),
    Complete,
}

/// One connection.
pub(crate) struct Ws {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    log: Vec<String>,
    waiting: HashMap<String, VecDeque<Frame>>,
}

impl Ws {
    /// Acknowledged.
    pub(crate) async fn open(url: &str, token: &str) -> Self {
        let mut ws = Self::greet(url, token).await;
        let answer = ws.receive().await.unwrap_or_else(|close| panic!("refused: {close:?}"));
        assert_eq!(answer["type"], "connection_ack");
        ws
    }

    async fn connect(url: &str) -> Self {
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("graphql-transport-ws"));
        let (socket, _) = soon("a WebSocket", connect_async(request)).await.unwrap();
        Self { socket, log: Vec::new(), waiting: HashMap::new() }
    }

    /// With any token, not waiting for the acknowledgement.
    pub(crate) async fn greet(url: &str, token: &str) -> Self {
        let mut ws = Self::connect(url).await;
        let payload = json!({ "authorization": format!("Bearer {token}") });
        ws.send(&json!({ "type": "connection_init", "payload": payload })).await;
        ws
    }

    /// A client that goes by a name; with the cursor that it acknowledged last.
    pub(crate) async fn named(url: &str, token: &str, name: &str) -> (Self, Option<String>) {
        let mut ws = Self::connect(url).await;
        let payload = json!({ "authorization": format!("Bearer {token}"), "durable": name });
        ws.send(&json!({ "type": "connection_init", "payload": payload })).await;
        let answer = ws.receive().await.unwrap_or_else(|close| panic!("refused: {close:?}"));
        assert_eq!(answer["type"], "connection_ack");
        let acknowledged = answer["payload"]["durable"]["acknowledged"].as_str().map(str::to_owned);
        (ws, acknowledged)
    }

    /// Gives the server a newer token; what it says to that.
    pub(crate) async fn renew(&mut self, token: &str) -> Value {
        let payload = json!({ "authorization": format!("Bearer {token}") });
        self.send(&json!({ "type": "ping", "payload": payload })).await;
        loop {
            let message = self.receive().await.expect("it is open");
            if message["type"] == "pong" {
                return message["payload"].clone();
            }
        }
    }

    /// Waits until it is durable.
    pub(crate) async fn acknowledge(&mut self, cursor: &str) {
        self.send(&json!({ "type": "ping", "payload": { "acknowledge": cursor } })).await;
        let told = loop {
            let message = self.receive().await.expect("it is open");
            if message["type"] == "pong" {
                break message;
            }
        };
        assert_eq!(told["payload"]["acknowledged"], cursor, "{told}");
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        soon("sending", self.socket.send(Message::text(message.to_string()))).await.unwrap();
    }

    /// Any text.
    pub(crate) async fn say(&mut self, text: &str) {
        soon("sending", self.socket.send(Message::text(text))).await.unwrap();
    }

    pub(crate) async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.send(&json!({ "type": "subscribe", "id": id, "payload": payload })).await;
    }

    /// A round trip: the server has read what was sent before.
    pub(crate) async fn ping(&mut self) {
        self.send(&json!({ "type": "ping", "payload": { "mark": 1 } })).await;
        while self.receive().await.expect("it is open")["type"] != "pong" {}
    }

    /// The next payload of an operation: `data` and `extensions`.
    ///
    /// # Panics
    /// An error or the end came instead, or nothing in time.
    pub(crate) async fn next_for(&mut self, id: &str) -> Value {
        match self.frame_for(id).await {
            Frame::Next(payload) => payload,
            other => panic!("wanted a `next` for {id}, got {other:?}; all frames: {:#?}", self.log),
        }
    }

    /// Whatever came next for an operation.
    pub(crate) async fn frame_for(&mut self, id: &str) -> Frame {
        loop {
            if let Some(frame) = self.waiting.get_mut(id).and_then(VecDeque::pop_front) {
                return frame;
            }
            if let Err(close) = self.receive().await {
                panic!("closed before anything came for {id}: {close:?}; all frames: {:#?}", self.log);
            }
        }
    }

    /// Reads up to the close frame; `None` where the connection broke without one.
    pub(crate) async fn closed(&mut self) -> Option<CloseFrame> {
        loop {
            if let Err(close) = self.receive().await {
                return close;
            }
        }
    }

    /// All text that came by now: up to the answer to a ping, or to the end of the connection.
    pub(crate) async fn heard(&mut self) -> String {
        // It may be closed already.
        let _ = self.socket.send(Message::text(json!({ "type": "ping" }).to_string())).await;
        while self.receive().await.is_ok_and(|message| message["type"] != "pong") {}
        self.log.concat()
    }

    /// Every text frame that was received so far, as it was.
    pub(crate) fn log(&self) -> &[String] {
        &self.log
    }

    /// Reads one message, and puts it where it belongs. Pings are answered.
    async fn receive(&mut self) -> Result<Value, Option<CloseFrame>> {
        loop {
            let message = soon("a message", self.socket.next()).await;
            let text = match message {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(frame))) => return Err(frame),
                Some(Ok(_)) => continue,
                None | Some(Err(_)) => return Err(None),
            };
            self.log.push(text.to_string());
            let message: Value = serde_json::from_str(&text).expect("the server sends JSON");
            self.sort(&message).await;
            return Ok(message);
        }
    }

    async fn sort(&mut self, message: &Value) {
        let frame = match message["type"].as_str() {
            Some("next") => Frame::Next(message["payload"].clone()),
            Some("error") => Frame::Error(message["payload"].clone()),
            Some("complete") => Frame::Complete,
            Some("ping") => return self.send(&json!({ "type": "pong" })).await,
            _ => return,
        };
        let id = message["id"].as_str().expect("it names its operation");
        self.waiting.entry(id.to_owned()).or_default().push_back(frame);
    }
}
