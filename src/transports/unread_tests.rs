//! Clients that ask and do not read what they are answered.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Client;
use serde_json::json;
use sluice_schema::position::ReadVector;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::{
    TransportConfig,
    fake::{Asked, Server},
    graphql_ws::socket_tests::Client as Socket,
};

/// It is only ever reached by a test that fails.
const LONG: Duration = Duration::from_secs(20);

fn post(query: &str) -> String {
    let body = json!({ "query": query }).to_string();
    let head = "POST /graphql HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer nora\r\nContent-Type: application/json";
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn poll(channel: &str) -> String {
    format!("GET /events?channel={channel} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer nora\r\n\r\n")
}

/// A connection with little room, on which this was asked and no more than the head of the answer was read: the handler is done.
/// And how much was not read.
async fn unread(server: &Server, request: &str) -> (TcpStream, usize) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut socket = socket.connect(server.address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("it is known");
    (socket, length.parse().unwrap())
}

/// What nora is answered to a request that is small.
async fn status(server: &Server) -> u16 {
    let request = Client::new().post(server.url("/graphql")).bearer_auth("nora");
    let request = request.header("content-type", "application/json").body(r#"{"query":"query { a }"}"#);
    request.send().await.unwrap().status().as_u16()
}

async fn is_dropped(server: &mut Server) {
    let dropped = async { while !matches!(server.asked.recv().await, Some(Asked::Dropped)) {} };
    timeout(LONG, dropped).await.expect("the answer stays in memory");
}

#[tokio::test]
async fn an_answer_is_in_flight_until_it_was_read() {
    let config = TransportConfig { max_in_flight_per_viewer: 1, ..TransportConfig::default() };
    for request in [post("query large"), post("mutation large"), poll("/large")] {
        let server = Server::start(config.clone()).await;
        let (mut socket, length) = unread(&server, &request).await;
        assert_eq!(status(&server).await, 429, "{request}");
        socket.read_exact(&mut vec![0; length]).await.unwrap();
        assert_eq!(status(&server).await, 200, "{request}");
    }
}

#[tokio::test]
async fn an_answer_is_not_in_flight_any_more_once_its_client_is_gone() {
    let config = TransportConfig { max_in_flight_per_viewer: 1, ..TransportConfig::default() };
    let mut server = Server::start(config).await;
    drop(unread(&server, &post("query large")).await);
    is_dropped(&mut server).await;
    assert_eq!(status(&server).await, 200);
}

#[cfg(target_os = "linux")]
mod for_long {
    use super::*;

    fn brief() -> TransportConfig {
        let write_timeout = Duration::from_millis(500);
        TransportConfig { max_in_flight_per_viewer: 1, write_timeout, ..TransportConfig::default() }
    }

    #[tokio::test]
    async fn who_does_not_read_is_let_go() {
        let mut server = Server::start(brief()).await;
        let _socket = unread(&server, &post("query large")).await;
        is_dropped(&mut server).await;
        assert_eq!(status(&server).await, 200);
        server.stop.cancel();
        timeout(LONG, server.served).await.expect("the connection is still there").unwrap();
    }

    /// It is bounded by its queue, and told to resume.
    #[tokio::test]
    async fn a_websocket_is_not() {
        let config = TransportConfig { max_queued_bytes: usize::MAX, ..brief() };
        let mut server = Server::start(config).await;
        let mut socket = Socket::ready(&server, "nora").await;
        socket.subscribe("1", "subscription { a }").await;
        let subscriber = server.subscriber().await;
        let payload = Bytes::from(json!({ "data": "x".repeat(1024 * 1024) }).to_string());
        for seq in 1..=32 {
            subscriber.next(&payload, &ReadVector(vec![seq])).unwrap();
            subscriber.flush();
        }
        // Others are let go meanwhile that did not read for less long.
        for _ in 0..2 {
            let _socket = unread(&server, &post("query large")).await;
            is_dropped(&mut server).await;
        }
        for _ in 1..=32 {
            assert_eq!(socket.json().await["type"], "next");
        }
    }
}
