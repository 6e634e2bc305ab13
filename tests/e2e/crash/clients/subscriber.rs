//! A client that keeps every frame as it came, and resumes behind the last one that came whole.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sluice_schema::position::Cursor;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, client::IntoClientRequest, http::HeaderValue},
};

use super::{Door, Observed};
use crate::harness::MEMBER;

/// An operation, by the id that it has on the socket.
pub(crate) const EVENTS: &str = "events";
pub(crate) const CHECKS: &str = "checks";

pub(crate) const CHANGED: &str = "sluice.eligibility.v1.EligibilityCheckChanged";

/// What each operation is: its id, its document, and what `$of` is.
const OPERATIONS: [(&str, &str, &str); 2] = [
    (
        EVENTS,
        "subscription($of: Channel!, $after: Cursor) {
            events(channel: $of, after: $after) { id type subject { id } }
        }",
        "/members/m-1001/**",
    ),
    (
        CHECKS,
        "subscription($of: ID!, $after: Cursor) {
            memberEligibility(memberId: $of, after: $after) { id state }
        }",
        MEMBER,
    ),
];

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) struct Subscriber {
    /// Every text frame of every connection.
    pub(crate) log: Vec<String>,
    /// Of each operation.
    places: [Place; OPERATIONS.len()],
}

#[derive(Clone)]
struct Place {
    cursor: String,
    /// How many changes of checks were seen: each check is accepted, and then leaves that state.
    changes: usize,
}

impl Subscriber {
    pub(crate) fn new(start: &Cursor) -> Self {
        let place = Place { cursor: start.to_string(), changes: 0 };
        Self { log: Vec::new(), places: [place.clone(), place] }
    }

    /// Listens until no server is left, or both operations have told of so many changes. Where a server is gone it resumes
    /// at the next door.
    pub(crate) async fn watch(&mut self, doors: &[Door], observed: &Observed, changes: usize) {
        let mut in_vain = 0;
        for door in doors.iter().cycle() {
            let before = self.log.len();
            if in_vain == doors.len() || self.watch_at(door, observed, changes).await.is_some() {
                return;
            }
            in_vain = if self.log.len() == before { in_vain + 1 } else { 1 };
        }
    }

    /// `None` where the server is gone before that.
    async fn watch_at(&mut self, door: &Door, observed: &Observed, changes: usize) -> Option<()> {
        let mut socket = self.resume(door).await.ok()?;
        while self.places.iter().any(|place| place.changes < changes) {
            let text = match socket.next().await?.ok()? {
                Message::Text(text) => text.to_string(),
                Message::Close(frame) => panic!("a crash says nothing, but the server said {frame:?}"),
                _ => continue,
            };
            self.note(&text);
            self.log.push(text);
            observed.one_more();
        }
        Some(())
    }

    async fn resume(&self, door: &Door) -> Result<Socket, tungstenite::Error> {
        let mut request = door.subscriptions.as_str().into_client_request()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("graphql-transport-ws"));
        let (mut socket, _) = connect_async(request).await?;
        let payload = json!({ "authorization": format!("Bearer {}", door.token) });
        send(&mut socket, json!({ "type": "connection_init", "payload": payload })).await?;
        for ((id, query, of), place) in OPERATIONS.iter().zip(&self.places) {
            let payload = json!({ "query": query, "variables": { "of": of, "after": place.cursor } });
            send(&mut socket, json!({ "type": "subscribe", "id": id, "payload": payload })).await?;
        }
        Ok(socket)
    }

    fn note(&mut self, text: &str) {
        let frame: Value = serde_json::from_str(text).expect("the server sends JSON");
        match frame["type"].as_str() {
            Some("next") => {
                let id = &frame["id"];
                let which = OPERATIONS.iter().position(|(name, ..)| id == name).expect("an operation of this client");
                self.places[which].follow(&frame["payload"]);
            }
            Some("ping") => {
                // Progress is true of the operations that it names, and of no other.
                let named = frame["payload"]["operations"].as_array().cloned().unwrap_or_default();
                for ((id, ..), place) in
                    OPERATIONS.iter().zip(&mut self.places).filter(|((id, ..), _)| named.contains(&json!(id)))
                {
                    place.cursor =
                        frame["payload"]["cursor"].as_str().unwrap_or_else(|| panic!("no cursor for {id}")).to_owned();
                }
            }
            Some("connection_ack") => {}
            _ => panic!("an operation ended: {text}"),
        }
    }
}

impl Place {
    fn follow(&mut self, payload: &Value) {
        self.cursor = payload["extensions"]["cursor"].as_str().expect("each event has a cursor").to_owned();
        let data = &payload["data"];
        let is_change = data["events"]["type"] == CHANGED || data["memberEligibility"].is_object();
        self.changes += usize::from(is_change);
    }
}

async fn send(socket: &mut Socket, message: Value) -> Result<(), tungstenite::Error> {
    socket.send(Message::text(message.to_string())).await
}
