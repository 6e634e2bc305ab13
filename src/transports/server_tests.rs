//! Clients that hold a connection and send too little.

use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    TransportConfig,
    fake::{Asked, Server},
};

const BRIEF: Duration = Duration::from_millis(100);

/// Long for a test, and less than what is in force by default.
const LONG: Duration = Duration::from_secs(8);

/// What comes back for these bytes until the server closes.
async fn answer_to(server: &Server, bytes: &str) -> String {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let all = timeout(LONG, socket.read_to_string(&mut answer)).await;
    all.unwrap_or_else(|_| panic!("it is held: {bytes:?}")).unwrap();
    answer
}

#[tokio::test]
async fn who_sends_no_head_or_half_of_one_is_let_go() {
    let server = Server::start(TransportConfig { idle_timeout: BRIEF, ..TransportConfig::default() }).await;
    for bytes in ["", "POST /graphql HTTP/1.1\r\nHost: a\r\nAuthorization: Bea"] {
        assert_eq!(answer_to(&server, bytes).await, "", "{bytes:?}");
    }
}

#[tokio::test]
async fn who_asks_nothing_more_is_let_go() {
    let server = Server::start(TransportConfig { idle_timeout: BRIEF, ..TransportConfig::default() }).await;
    let answer = answer_to(&server, "GET /graphql/ws HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_stops_is_answered_408() {
    let server = Server::start(TransportConfig { body_timeout: BRIEF, ..TransportConfig::default() }).await;
    let head = "POST /graphql HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer nora\r\nContent-Type: application/json\r\n\
                Content-Length: 100\r\n\r\n";
    let answer = answer_to(&server, &format!("{head}{{\"query\"")).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["errors"][0]["message"], "The body did not come within 100 ms.");
    assert_eq!(body["errors"][0]["extensions"]["code"], "BAD_REQUEST");
}

/// How long an answer takes is no matter of the client's.
#[tokio::test]
async fn who_waits_for_an_answer_is_not_let_go() {
    let mut server = Server::start(TransportConfig { idle_timeout: BRIEF, ..TransportConfig::default() }).await;
    let body = json!({ "query": "query slow" }).to_string();
    let request = Client::new().post(server.url("/graphql")).bearer_auth("nora");
    let request = tokio::spawn(request.header("content-type", "application/json").body(body).send());
    assert!(matches!(server.asked.recv().await, Some(Asked::Executing)));
    // Others are let go meanwhile.
    for _ in 0..3 {
        assert_eq!(answer_to(&server, "").await, "");
    }
    server.gate.release.notify_one();
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
}
