//! Real sockets, from a client's side.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sluice_schema::{error::ClientError, position::ReadVector};
use sluice_subscriptions::deliver::{Gone, Subscriber};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, handshake::client::Request},
};

use super::super::{
    TransportConfig,
    fake::{Asked, Server, cursor},
};

pub(in super::super) struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

fn request(server: &Server, path: &str, protocol: Option<&str>) -> Request {
    let mut request = format!("ws://{}{path}", server.address).into_client_request().unwrap();
    if let Some(protocol) = protocol {
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    }
    request
}

impl Client {
    pub(in super::super) async fn open(server: &Server) -> Self {
        let request = request(server, "/graphql", Some("graphql-transport-ws"));
        Self(connect_async(request).await.unwrap().0)
    }

    /// Open, and acknowledged.
    pub(in super::super) async fn ready(server: &Server, token: &str) -> Self {
        let mut client = Self::open(server).await;
        client.init(token).await;
        assert_eq!(client.json().await["type"], "connection_ack");
        client
    }

    pub(in super::super) async fn init(&mut self, token: &str) {
        let authorization = format!("Bearer {token}");
        self.send(json!({ "type": "connection_init", "payload": { "authorization": authorization } })).await;
    }

    pub(in super::super) async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    pub(in super::super) async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(json!({ "type": "subscribe", "id": id, "payload": { "query": query } })).await;
    }

    pub(in super::super) async fn json(&mut self) -> Value {
        match self.0.next().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// A round trip: the server has read what was sent before.
    pub(in super::super) async fn ping(&mut self) {
        self.send(json!({ "type": "ping" })).await;
        assert_eq!(self.json().await["type"], "pong");
    }

    /// Reads one message; `false` where it was the last, however the connection ended.
    pub(super) async fn goes_on(&mut self) -> bool {
        matches!(self.0.next().await, Some(Ok(message)) if !message.is_close())
    }

    /// The code and reason of the close frame; messages before it are passed over.
    pub(in super::super) async fn closed(mut self) -> (u16, String) {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return (frame.code.into(), frame.reason.to_string()),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The status of a handshake that is refused.
    pub(in super::super) async fn refused(server: &Server) -> u16 {
        match connect_async(request(server, "/graphql", Some("graphql-transport-ws"))).await {
            Err(Error::Http(response)) => response.status().as_u16(),
            other => panic!("{other:?}"),
        }
    }

    /// Open, after a handshake with more headers and a query string.
    pub(in super::super) async fn open_with(server: &Server, query: &str, headers: &[(&'static str, &str)]) -> Self {
        let mut request = request(server, &format!("/graphql?{query}"), Some("graphql-transport-ws"));
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        Self(connect_async(request).await.unwrap().0)
    }
}

pub(super) async fn server() -> Server {
    Server::start(TransportConfig::default()).await
}

pub(super) fn event(subscriber: &Arc<dyn Subscriber>, number: u64) -> Result<(), Gone> {
    subscriber.next(&Bytes::from(json!({ "data": number }).to_string()), &ReadVector(vec![number]))?;
    subscriber.flush();
    Ok(())
}

#[tokio::test]
async fn a_subscription_runs_from_init_to_complete() {
    let mut server = server().await;
    let mut client = Client::open(&server).await;
    client.init("nora").await;
    let advice = json!({ "baseMs": 500, "capMs": 30000, "jitter": "full" });
    assert_eq!(client.json().await, json!({ "type": "connection_ack", "payload": { "advice": advice } }));
    client.subscribe("1", "subscription { a }").await;
    let subscriber = server.subscriber().await;
    event(&subscriber, 1).unwrap();
    event(&subscriber, 2).unwrap();
    subscriber.end(None);
    assert_eq!(client.json().await, json!({ "type": "next", "id": "1", "payload": { "data": 1 } }));
    assert_eq!(client.json().await, json!({ "type": "next", "id": "1", "payload": { "data": 2 } }));
    assert_eq!(client.json().await, json!({ "type": "complete", "id": "1" }));
    assert!(matches!(server.asked.recv().await, Some(Asked::Unsubscribed)));
    assert_eq!(event(&subscriber, 3), Err(Gone::Closed));
}

#[tokio::test]
async fn the_alias_speaks_the_same() {
    let server = server().await;
    let (socket, response) =
        connect_async(request(&server, "/graphql/ws", Some("graphql-ws, graphql-transport-ws"))).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "graphql-transport-ws");
    let mut client = Client(socket);
    client.send(json!({ "type": "ping", "payload": { "a": 1 } })).await;
    assert_eq!(client.json().await, json!({ "type": "pong", "payload": { "a": 1 } }));
}

#[tokio::test]
async fn queries_and_mutations_run_beside_each_other() {
    let server = server().await;
    let mut client = Client::ready(&server, "nora").await;
    client.subscribe("slow", "mutation slow").await;
    client.subscribe("quick", "query { a }").await;
    assert_eq!(client.json().await, json!({ "type": "next", "id": "quick", "payload": { "data": { "echo": {} } } }));
    assert_eq!(client.json().await, json!({ "type": "complete", "id": "quick" }));
    server.gate.release.notify_one();
    assert_eq!(client.json().await["id"], "slow");
    assert_eq!(client.json().await, json!({ "type": "complete", "id": "slow" }));
}

#[tokio::test]
async fn no_more_run_at_once_than_allowed() {
    let mut server = Server::start(TransportConfig { max_concurrency: 1, ..TransportConfig::default() }).await;
    let mut client = Client::ready(&server, "nora").await;
    client.subscribe("slow", "mutation slow").await;
    client.subscribe("next", "query { a }").await;
    client.ping().await;
    assert!(matches!(server.asked.recv().await, Some(Asked::Executing)));
    assert!(server.asked.try_recv().is_err(), "the second waits");
    server.gate.release.notify_one();
    let ids = [client.json().await, client.json().await, client.json().await, client.json().await];
    assert_eq!(ids.map(|frame| frame["id"].clone()), ["slow", "slow", "next", "next"]);
}

#[tokio::test]
async fn what_is_not_executed_is_an_error_of_its_id() {
    let server = server().await;
    let mut client = Client::ready(&server, "nora").await;
    for (query, expected) in [
        ("{ unbalanced", json!("GRAPHQL_PARSE_FAILED")),
        ("query invalid", Value::Null),
        ("subscription denied", json!("NOT_FOUND")),
        ("query panic", json!("INTERNAL")),
    ] {
        client.subscribe("1", query).await;
        let error = client.json().await;
        assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("1")), "{query}");
        assert_eq!(error["payload"][0]["extensions"]["code"], expected, "{query}");
    }
}

#[tokio::test]
async fn a_completed_id_is_silent_and_free() {
    let mut server = server().await;
    let mut client = Client::ready(&server, "nora").await;
    client.subscribe("1", "subscription { a }").await;
    let old = server.subscriber().await;
    client.send(json!({ "type": "complete", "id": "1" })).await;
    assert!(matches!(server.asked.recv().await, Some(Asked::Unsubscribed)));
    assert_eq!(event(&old, 1), Err(Gone::Closed));
    old.end(Some(ClientError::unavailable()));
    client.subscribe("1", "subscription { b }").await;
    let new = server.subscriber().await;
    event(&new, 2).unwrap();
    assert_eq!(client.json().await["payload"]["data"], 2, "neither an echo of complete nor the old one's end");
}

#[tokio::test]
async fn a_subscription_stopped_while_it_starts_is_dropped() {
    let mut server = server().await;
    let mut client = Client::ready(&server, "nora").await;
    client.subscribe("1", "subscription slow").await;
    let _subscriber = server.subscriber().await;
    client.send(json!({ "type": "complete", "id": "1" })).await;
    assert!(matches!(server.asked.recv().await, Some(Asked::Unsubscribed)));
}

#[tokio::test]
async fn a_mutation_outlives_its_socket_and_a_subscription_does_not() {
    let mut server = server().await;
    let mut client = Client::ready(&server, "nora").await;
    client.subscribe("m", "mutation slow").await;
    assert!(matches!(server.asked.recv().await, Some(Asked::Executing)));
    client.subscribe("s", "subscription { a }").await;
    let subscriber = server.subscriber().await;
    drop(client);
    assert!(matches!(server.asked.recv().await, Some(Asked::Unsubscribed)));
    assert_eq!(event(&subscriber, 1), Err(Gone::Closed));
    server.gate.release.notify_one();
    assert!(matches!(server.asked.recv().await, Some(Asked::Executed)));
}

#[tokio::test]
async fn faults_close_with_the_protocols_codes() {
    let config = TransportConfig { max_message_bytes: 1000, max_body_bytes: 10, ..TransportConfig::default() };
    let server = Server::start(config).await;
    let init = json!({ "type": "connection_init", "payload": { "authorization": "Bearer nora" } });
    let subscribe = json!({ "type": "subscribe", "id": "1", "payload": { "query": "subscription { a }" } });
    let text = |message: &Value| Message::text(message.to_string());
    let padded =
        |bytes: usize| Message::text(json!({ "type": "ping", "payload": { "x": "x".repeat(bytes) } }).to_string());
    let cases = [
        (vec![Message::text("nothing")], 4400),
        (vec![Message::binary(b"{}".to_vec())], 4400),
        (vec![padded(1000)], 4400),
        (vec![padded(100_000)], 4400),
        (vec![text(&subscribe)], 4401),
        (vec![text(&json!({ "type": "connection_init" }))], 4403),
        (vec![text(&json!({ "type": "connection_init", "payload": { "authorization": "Bearer wrong" } }))], 4403),
        (vec![text(&json!({ "type": "connection_init", "payload": { "authorization": "Bearer away" } }))], 1013),
        (vec![text(&init), text(&subscribe), text(&subscribe)], 4409),
        (vec![text(&init), text(&init)], 4429),
    ];
    for (messages, expected) in cases {
        let mut client = Client::open(&server).await;
        for message in &messages {
            client.0.send(message.clone()).await.unwrap();
        }
        assert_eq!(client.closed().await.0, expected, "{:.100?}", messages.last());
    }
}

#[tokio::test]
async fn a_client_without_init_is_closed_with_4408() {
    let config = TransportConfig { init_timeout: Duration::from_millis(20), ..TransportConfig::default() };
    let server = Server::start(config).await;
    let closed = Client::open(&server).await.closed().await;
    assert_eq!(closed, (4408, "Connection initialisation timeout".to_owned()));
}

#[tokio::test]
async fn other_subprotocols_are_refused() {
    let server = server().await;
    let legacy = connect_async(request(&server, "/graphql", Some("graphql-ws"))).await;
    assert!(legacy.is_err(), "nothing was agreed on, so this client does not go on");
    let none = Client(connect_async(request(&server, "/graphql", None)).await.unwrap().0);
    assert_eq!(none.closed().await.0, 4406);
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let server = server().await;
    let from = async |origin: &str| {
        let mut request = request(&server, "/graphql", Some("graphql-transport-ws"));
        request.headers_mut().insert("origin", origin.parse().unwrap());
        match connect_async(request).await {
            Ok(_) => 101,
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(from("https://evil.test").await, 403);
    assert_eq!(from("null").await, 403);
    assert_eq!(from(&format!("http://{}", server.address)).await, 101);
}

#[tokio::test]
async fn a_socket_ends_with_its_token() {
    let mut server = server().await;
    let mut client = Client::ready(&server, "brief").await;
    client.subscribe("1", "subscription { a }").await;
    let (code, reason) = client.closed().await;
    assert_eq!(code, 4403);
    assert!(reason.contains("expired"), "{reason}");
    // On a busy machine the token may end before the subscription begins.
    while let Ok(asked) = server.asked.try_recv() {
        assert!(!matches!(asked, Asked::Subscribed(subscriber) if event(&subscriber, 1) != Err(Gone::Closed)));
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_nobody_else_notices() {
    let config = TransportConfig {
        max_queued_bytes: 100_000,
        close_timeout: Duration::from_secs(60),
        ..TransportConfig::default()
    };
    let mut server = Server::start(config).await;
    let mut stalled = Client::ready(&server, "nora").await;
    stalled.subscribe("1", "subscription { a }").await;
    let stalled_subscriber = server.subscriber().await;
    let mut other = Client::ready(&server, "nora").await;
    other.subscribe("1", "subscription { a }").await;
    let other_subscriber = server.subscriber().await;

    let payload = Bytes::from(format!("\"{}\"", "x".repeat(50_000)));
    let mut sent = 0;
    let gone = loop {
        if let Err(gone) = stalled_subscriber.next(&payload, &ReadVector(vec![sent])) {
            break gone;
        }
        stalled_subscriber.flush();
        sent += 1;
        assert!(sent < 10_000, "the queue is not bounded");
        event(&other_subscriber, sent).unwrap();
        assert_eq!(other.json().await["payload"]["data"], sent);
    };
    assert_eq!(gone, Gone::Lagging);
    assert!(matches!(server.asked.recv().await, Some(Asked::Unsubscribed)), "at once, though the client stalls on");
    let (code, reason) = stalled.closed().await;
    assert_eq!(code, 1013);
    assert!(reason.contains("resume"), "{reason}");
    event(&other_subscriber, 1).unwrap();
    assert_eq!(other.json().await["payload"]["data"], 1);
}

#[tokio::test]
async fn a_drain_sends_what_waits_then_1001_with_advice() {
    let mut server = server().await;
    let mut client = Client::ready(&server, "nora").await;
    client.subscribe("1", "subscription { a }").await;
    let subscriber = server.subscriber().await;
    event(&subscriber, 1).unwrap();
    server.drain.cancel();
    assert_eq!(client.json().await["payload"]["data"], 1);
    let (code, reason) = client.closed().await;
    assert_eq!(code, 1001);
    server.tasks.close();
    server.tasks.wait().await;
    let delay: u64 = reason.split(' ').find_map(|word| word.parse().ok()).expect("a number of milliseconds");
    assert!((500..=30_000).contains(&delay), "{reason}");
    let again = connect_async(request(&server, "/graphql", Some("graphql-transport-ws"))).await;
    assert!(matches!(again, Err(Error::Http(response)) if response.status() == 503));
}

#[tokio::test]
async fn pings_tell_progress_only_if_it_is_true_for_all() {
    let config = TransportConfig {
        ping_interval: Duration::from_millis(10),
        max_silent_intervals: u32::MAX,
        ..TransportConfig::default()
    };
    let mut server = Server::start(config).await;
    let progress = cursor(&ReadVector(vec![7])).to_string();
    let mut client = Client::ready(&server, "nora").await;
    // A `subscribe` may be under way already, with a place of its own.
    assert_eq!(client.json().await, json!({ "type": "ping" }), "it is true for nobody yet");
    client.subscribe("one", "subscription quick").await;
    let _subscriber = server.subscriber().await;
    let told = loop {
        let ping = client.json().await;
        if ping.get("payload").is_some() {
            break ping;
        }
    };
    assert_eq!(told, json!({ "type": "ping", "payload": { "cursor": progress, "operations": ["one"] } }));
    client.subscribe("two", "subscription behind").await;
    let _subscriber = server.subscriber().await;
    while client.json().await.get("payload").is_some() {}
    assert_eq!(client.json().await, json!({ "type": "ping" }), "it would skip what the subscription was not sent yet");

    let mut client = Client::ready(&server, "nora").await;
    client.subscribe("1", "subscription slow").await;
    let _subscriber = server.subscriber().await;
    assert_eq!(client.json().await, json!({ "type": "ping" }), "nor while one is only starting");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_given_up() {
    let config = TransportConfig {
        ping_interval: Duration::from_millis(10),
        max_silent_intervals: 2,
        ..TransportConfig::default()
    };
    let server = Server::start(config).await;
    let closed = Client::ready(&server, "nora").await.closed().await;
    assert_eq!(closed.0, 1001);
}
