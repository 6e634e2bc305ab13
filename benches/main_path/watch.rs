//! Who watches: one client on a WebSocket (graphql-transport-ws), subscribed to everything of the member.

use std::{collections::HashMap, time::Instant};

use futures_util::{SinkExt, StreamExt};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::watch, task::JoinHandle};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::server::Viewer;

const WATCH: &str = "subscription Watch($channel: Channel!) {
  events(channel: $channel) {
    occurredAt subject { id }
    payload {
      __typename
      ... on EligibilityCheckChanged {
        after {
          state
          coverage { active planName copays { amount } deductibles { amount remaining } benefits { code } }
        }
      }
    }
  }
}";

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An event as it arrived.
pub(crate) struct Arrival {
    pub(crate) check: String,
    /// The state after it; `None` for an event that is not a `*Changed`.
    pub(crate) state: Option<String>,
    pub(crate) occurred: Timestamp,
    pub(crate) at: Instant,
    pub(crate) clock: Timestamp,
}

/// Watches until it is told to stop.
pub(crate) struct Watcher {
    task: JoinHandle<Result<Vec<Arrival>, String>>,
    pub(crate) seen: watch::Receiver<Seen>,
    stop: watch::Sender<bool>,
}

/// How much it has seen so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) events: usize,
    /// Checks that have ended.
    pub(crate) ended: usize,
}

#[derive(Deserialize)]
struct Frame {
    r#type: String,
    payload: Option<Payload>,
}

#[derive(Deserialize)]
struct Payload {
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    events: Event,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    occurred_at: Timestamp,
    subject: Subject,
    payload: EventPayload,
}

#[derive(Deserialize)]
struct Subject {
    id: String,
}

#[derive(Deserialize)]
struct EventPayload {
    after: Option<After>,
}

#[derive(Deserialize)]
struct After {
    state: String,
}

impl Watcher {
    /// Subscribes. The subscription is live a moment later.
    pub(crate) async fn start(url: &str, viewer: &Viewer, member: &str) -> Result<Self, String> {
        let mut socket = connect(url, &viewer.token).await?;
        let variables = json!({ "channel": format!("/members/{member}/**") });
        let payload = json!({ "query": WATCH, "variables": variables });
        send(&mut socket, &json!({ "id": "1", "type": "subscribe", "payload": payload })).await?;
        let (count, seen) = watch::channel(Seen::default());
        let (stop, stopped) = watch::channel(false);
        Ok(Self { task: tokio::spawn(collect(socket, count, stopped)), seen, stop })
    }

    pub(crate) async fn stop(self) -> Result<Vec<Arrival>, String> {
        self.stop.send_replace(true);
        self.task.await.map_err(|error| error.to_string())?
    }
}

async fn connect(url: &str, token: &str) -> Result<Socket, String> {
    let mut request = url.into_client_request().map_err(|error| error.to_string())?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("graphql-transport-ws"));
    let (mut socket, _) = connect_async(request).await.map_err(|error| error.to_string())?;
    let authorization = format!("Bearer {token}");
    send(&mut socket, &json!({ "type": "connection_init", "payload": { "authorization": authorization } })).await?;
    match socket.next().await {
        Some(Ok(Message::Text(text))) if text.contains("connection_ack") => Ok(socket),
        other => Err(format!("no connection_ack but {other:?}")),
    }
}

async fn send(socket: &mut Socket, message: &Value) -> Result<(), String> {
    socket.send(Message::text(message.to_string())).await.map_err(|error| error.to_string())
}

async fn collect(
    mut socket: Socket,
    count: watch::Sender<Seen>,
    mut stopped: watch::Receiver<bool>,
) -> Result<Vec<Arrival>, String> {
    let mut arrivals = Vec::new();
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            // It is told so, or whoever would tell it is gone.
            _ = stopped.changed() => return Ok(arrivals),
        };
        let (at, clock) = (Instant::now(), Timestamp::now());
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            other => return Err(format!("the subscriber's socket ended: {other:?}")),
        };
        let frame: Frame = serde_json::from_str(&text).map_err(|error| format!("{error} in {text}"))?;
        match (frame.r#type.as_str(), frame.payload.and_then(|payload| payload.data)) {
            ("next", Some(Data { events })) => {
                let state = events.payload.after.map(|after| after.state);
                let ended = state.as_deref().is_some_and(|state| state != "ACCEPTED");
                count.send_modify(|seen| {
                    seen.events += 1;
                    seen.ended += usize::from(ended);
                });
                arrivals.push(Arrival { check: events.subject.id, state, occurred: events.occurred_at, at, clock });
            }
            ("ping", _) => send(&mut socket, &json!({ "type": "pong" })).await?,
            ("pong", _) => {}
            _ => return Err(format!("the subscriber got {text}")),
        }
    }
}

/// How often each check arrived in `state`.
pub(crate) fn times_seen<'a>(arrivals: &'a [Arrival], state: &str) -> HashMap<&'a str, (usize, &'a Arrival)> {
    let mut seen = HashMap::new();
    for arrival in arrivals.iter().filter(|arrival| arrival.state.as_deref() == Some(state)) {
        seen.entry(arrival.check.as_str()).or_insert((0, arrival)).0 += 1;
    }
    seen
}
