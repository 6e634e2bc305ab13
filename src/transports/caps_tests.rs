//! What one viewer may have, from a client's side; and that whatever ended is not counted on.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, header};
use serde_json::{Value, json};

use super::{
    TransportConfig,
    fake::{Asked, Server},
    graphql_ws::socket_tests::Client as Socket,
};

fn one_of_each() -> TransportConfig {
    TransportConfig { max_in_flight_per_viewer: 1, max_connections_per_viewer: 1, ..TransportConfig::default() }
}

fn post(server: &Server, token: &str, query: &str) -> RequestBuilder {
    let request = Client::new().post(server.url("/graphql")).bearer_auth(token);
    request.header(header::CONTENT_TYPE, "application/json").body(json!({ "query": query }).to_string())
}

fn poll(server: &Server, channel: &str) -> RequestBuilder {
    Client::new().get(server.url("/events")).query(&[("channel", channel)]).bearer_auth("nora")
}

/// It is refused for now: 429, a code, and when to ask again.
async fn is_too_many(request: RequestBuilder) -> u64 {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 429);
    let seconds: u64 = response.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    let body: Value = response.json().await.unwrap();
    let extensions = &body["errors"][0]["extensions"];
    assert_eq!(extensions["code"], "LIMIT_EXCEEDED");
    assert!(extensions["retryAfterMs"].as_u64().unwrap().div_ceil(1000) <= seconds && body.get("data").is_none());
    seconds
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

async fn executing(server: &mut Server) {
    assert!(matches!(server.asked.recv().await, Some(Asked::Executing)));
}

async fn executed(server: &mut Server) {
    assert!(matches!(server.asked.recv().await, Some(Asked::Executed)));
}

#[tokio::test]
async fn operations_in_flight_are_counted_over_all_transports() {
    let mut server = Server::start(one_of_each()).await;
    let mut socket = Socket::ready(&server, "nora").await;
    let slow = tokio::spawn(post(&server, "nora", "query slow").send());
    executing(&mut server).await;
    assert_eq!(is_too_many(post(&server, "nora", "query { a }")).await, 1);
    assert_eq!(is_too_many(poll(&server, "/a")).await, 1);
    socket.subscribe("q", "query { a }").await;
    let refused = socket.json().await;
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("q")));
    assert_eq!(refused["payload"][0]["extensions"]["code"], "LIMIT_EXCEEDED");
    assert_eq!(status(post(&server, "otto", "query { a }")).await, 200, "another viewer's are her own");
    executing(&mut server).await;
    executed(&mut server).await;

    server.gate.release.notify_one();
    assert_eq!(slow.await.unwrap().unwrap().status(), 200);
    executed(&mut server).await;
    socket.subscribe("q", "query { a }").await;
    assert_eq!(socket.json().await["type"], "next");
    assert_eq!(socket.json().await["type"], "complete");
    executing(&mut server).await;
    executed(&mut server).await;
}

#[tokio::test]
async fn what_was_given_up_is_not_counted_on() {
    let mut server = Server::start(one_of_each()).await;
    // A client that goes away takes its query with it, and its poll.
    for _ in 0..3 {
        let request = tokio::spawn(poll(&server, "/hang").send());
        executing(&mut server).await;
        request.abort();
        assert!(matches!(server.asked.recv().await, Some(Asked::PollDropped)));
    }
    let mut socket = Socket::ready(&server, "nora").await;
    for query in ["query panic", "{ unbalanced", "query invalid", "subscription denied", "query { a }"] {
        socket.subscribe("1", query).await;
        while !["complete", "error"].contains(&socket.json().await["type"].as_str().unwrap()) {}
    }
    for query in ["{ unbalanced", "query invalid", "query { a }"] {
        assert_eq!(status(post(&server, "nora", query)).await, 200);
    }
    assert_eq!(status(post(&server, "nora", "subscription { a }")).await, 400);
    assert_eq!(status(post(&server, "nora", "query { a }")).await, 200);
}

#[tokio::test]
async fn a_mutation_is_in_flight_until_it_has_run_whatever_became_of_its_client() {
    let mut server = Server::start(one_of_each()).await;
    let request = tokio::spawn(post(&server, "nora", "mutation slow").send());
    executing(&mut server).await;
    request.abort();
    let _ = request.await;
    is_too_many(post(&server, "nora", "query { a }")).await;
    server.gate.release.notify_one();
    executed(&mut server).await;

    let mut socket = Socket::ready(&server, "nora").await;
    socket.subscribe("m", "mutation slow").await;
    executing(&mut server).await;
    drop(socket);
    is_too_many(post(&server, "nora", "query { a }")).await;
    server.gate.release.notify_one();
    executed(&mut server).await;
}

#[tokio::test]
async fn subscriptions_are_bounded_by_their_socket_alone() {
    let config = TransportConfig { max_operations: 2, ..one_of_each() };
    let mut server = Server::start(config).await;
    let mut socket = Socket::ready(&server, "nora").await;
    let mut running = Vec::new();
    for id in ["1", "2"] {
        socket.subscribe(id, "subscription { a }").await;
        running.push(server.subscriber().await);
    }
    socket.subscribe("3", "subscription { a }").await;
    let refused = socket.json().await;
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("3")));
    assert_eq!(refused["payload"][0]["extensions"]["code"], "LIMIT_EXCEEDED");
    assert_eq!(status(post(&server, "nora", "query { a }")).await, 200, "they are not in flight");
    socket.send(json!({ "type": "complete", "id": "1" })).await;
    socket.subscribe("3", "subscription { a }").await;
    while !matches!(server.asked.recv().await, Some(Asked::Subscribed(_))) {}
}

/// The gate is stalled: nothing that begins comes to its end.
#[tokio::test]
async fn who_starts_many_subscriptions_holds_nobody_else_up() {
    let config = TransportConfig { max_concurrency: 100, ..TransportConfig::default() };
    let mut server = Server::start(config).await;
    let mut socket = Socket::ready(&server, "nora").await;
    for id in 0..100 {
        socket.subscribe(&id.to_string(), "subscription slow").await;
    }
    socket.ping().await;
    let _subscriber = server.subscriber().await;
    let mut other = Socket::ready(&server, "otto").await;
    other.subscribe("1", "subscription denied").await;
    let answer = tokio::time::timeout(Duration::from_secs(20), other.json()).await;
    assert_eq!(answer.expect("it waits for all of hers")["type"], "error");
    for _ in 1..100 {
        server.gate.release.notify_one();
        while !matches!(server.asked.recv().await, Some(Asked::Subscribed(_))) {}
    }
}

#[tokio::test]
async fn one_connection_too_many_is_sent_away_and_told_when_to_come_back() {
    let server = Server::start(one_of_each()).await;
    let first = Socket::ready(&server, "nora").await;
    Socket::ready(&server, "otto").await;
    let mut second = Socket::open(&server).await;
    second.init("nora").await;
    let (code, reason) = second.closed().await;
    assert_eq!(code, 1013, "graphql-ws comes back after this one");
    assert!(reason.contains("Too many connections") && reason.contains(" ms"), "{reason}");

    // The first one is gone when its task is; the server does not say when that is, so its tracker is asked.
    drop(first);
    server.tasks.close();
    server.tasks.wait().await;
    Socket::ready(&server, "nora").await;
}

#[tokio::test]
async fn who_does_not_say_who_he_is_takes_up_room() {
    let config = TransportConfig { max_unauthenticated: 1, init_timeout: Duration::from_secs(60), ..one_of_each() };
    let server = Server::start(config).await;
    let mut first = Socket::open(&server).await;
    assert_eq!(Socket::refused(&server).await, 503);
    first.init("nora").await;
    assert_eq!(first.json().await["type"], "connection_ack");
    let second = Socket::open(&server).await;
    assert_eq!(Socket::refused(&server).await, 503);
    drop((first, second));
    server.tasks.close();
    server.tasks.wait().await;
    Socket::ready(&server, "nora").await;
}

#[tokio::test]
async fn too_many_operations_in_a_second_are_held_back_everywhere() {
    let config =
        TransportConfig { max_operations_per_second: 1, max_operations_burst: 2, ..TransportConfig::default() };
    let server = Server::start(config).await;
    // Each second brings one more, so a slow machine may be let through some times.
    let mut socket = Socket::ready(&server, "nora").await;
    let held_back = |answer: &Value| answer.to_string().contains("You begin too many operations");
    for message in [
        json!({ "type": "subscribe", "id": "q", "payload": { "query": "query { a }" } }),
        json!({ "type": "subscribe", "id": "s", "payload": { "query": "subscription denied" } }),
        json!({ "type": "ping", "payload": { "authorization": "Bearer nora" } }),
    ] {
        let mut answers = Vec::new();
        while !answers.last().is_some_and(held_back) {
            assert!(answers.len() < 50, "never held back: {message}");
            socket.send(message.clone()).await;
            answers.push(socket.json().await);
            if answers.last().unwrap()["type"] == "next" {
                socket.json().await;
            }
        }
    }
    for request in [post(&server, "nora", "query { a }"), poll(&server, "/quiet")] {
        let mut tries = 0;
        while status(request.try_clone().unwrap()).await != 429 {
            tries += 1;
            assert!(tries < 50, "never held back: {request:?}");
        }
    }
}
