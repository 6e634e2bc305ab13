//! A newer token on a live socket: the state machine, and real sockets.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sluice_schema::error::ClientError;

use super::{
    super::{
        TransportConfig,
        fake::{Asked, Server},
    },
    protocol::{Input, Protocol, Renewal},
    protocol_tests::{INIT, code, fresh, ready, told},
    socket_tests::{Client, event, server},
};

const RENEW: &str = r#"{"type":"ping","payload":{"authorization":"Bearer newer"}}"#;

fn says(protocol: &mut Protocol, text: &str) -> String {
    told(&protocol.handle(Input::Text(text)))
}

/// A protocol whose newer token is being checked.
fn renewing() -> Protocol {
    let mut protocol = ready();
    assert_eq!(says(&mut protocol, RENEW), "renew newer");
    protocol
}

#[test]
fn a_newer_token_is_checked_and_its_end_told() {
    let mut protocol = renewing();
    let until = Timestamp::from_second(1_800_000_000).unwrap();
    let renewed = told(&protocol.handle(Input::Renewed(Renewal::Until(until))));
    assert_eq!(renewed, r#"send {"payload":{"renewed":{"expiresAt":"2027-01-15T08:00:00Z"}},"type":"pong"}"#);
    let upper = r#"{"type":"ping","payload":{"Authorization":"bearer t"}}"#;
    assert_eq!(says(&mut protocol, upper), "renew t", "and again, in the forms that connection_init takes");
}

#[test]
fn a_token_that_does_not_hold_is_refused_and_the_socket_goes_on() {
    let mut protocol = renewing();
    let refused = told(&protocol.handle(Input::Renewed(Renewal::Refused(ClientError::unavailable()))));
    assert!(refused.starts_with("send") && refused.contains(r#""errors":[{"#), "{refused}");
    assert!(refused.contains("UNAVAILABLE") && refused.contains(r#""type":"pong""#), "{refused}");
    assert_eq!(says(&mut protocol, RENEW), "renew newer", "it may be tried again");
}

#[test]
fn somebody_elses_token_closes() {
    assert_eq!(code(&renewing().handle(Input::Renewed(Renewal::Another))), 4403);
}

#[test]
fn a_ping_with_an_authorization_that_is_no_token_is_refused_and_not_sent_back() {
    for payload in [
        r#"{"authorization":"secret"}"#,
        r#"{"authorization":["Bearer secret"]}"#,
        r#"{"authorization":"Bearer secret","Authorization":"Bearer secret"}"#,
        r#"{"authorization":"Bearer secret","authorization":"Bearer secret"}"#,
    ] {
        let refused = says(&mut ready(), &format!(r#"{{"type":"ping","payload":{payload}}}"#));
        assert!(refused.contains("UNAUTHENTICATED") && !refused.contains("secret"), "{payload}: {refused}");
    }
    let null = r#"{"type":"ping","payload":{"authorization":null}}"#;
    assert!(says(&mut ready(), null).starts_with(r#"send {"type":"pong""#), "as any other ping");
    assert_eq!(says(&mut ready(), &RENEW.replace("ping", "pong")), "", "a pong asks for nothing");
}

#[test]
fn one_token_is_checked_at_a_time_and_none_before_the_acknowledgement() {
    let mut authenticating = fresh();
    authenticating.handle(Input::Text(INIT));
    for mut protocol in [renewing(), fresh(), authenticating] {
        let refused = says(&mut protocol, RENEW);
        assert!(refused.starts_with("send") && refused.contains("BAD_REQUEST"), "{refused}");
    }
}

#[test]
fn a_late_answer_changes_nothing() {
    let mut protocol = renewing();
    assert_eq!(code(&protocol.handle(Input::TokenExpired)), 4403, "the older token is the one in force");
    assert_eq!(told(&protocol.handle(Input::Renewed(Renewal::Until(Timestamp::MAX)))), "");
}

impl Client {
    async fn renew(&mut self, token: &str) {
        self.send(json!({ "type": "ping", "payload": { "authorization": format!("Bearer {token}") } })).await;
    }

    /// What comes next that is not the server's own ping.
    async fn told(&mut self) -> Value {
        loop {
            let message = self.json().await;
            if message["type"] != "ping" {
                return message;
            }
        }
    }
}

#[tokio::test]
async fn a_renewed_socket_outlives_its_first_token() {
    // The first ping comes when that token has ended.
    let config = TransportConfig { ping_interval: Duration::from_millis(2_500), ..TransportConfig::default() };
    let mut server = Server::start(config).await;
    let mut client = Client::ready(&server, "short").await;
    client.subscribe("1", "subscription { a }").await;
    let subscriber = server.subscriber().await;
    client.renew("nora").await;
    let renewed = client.json().await;
    let until: Timestamp = renewed["payload"]["renewed"]["expiresAt"].as_str().unwrap().parse().unwrap();
    assert!(until > Timestamp::now() + Duration::from_secs(3_000), "{renewed}");
    assert_eq!(client.json().await["type"], "ping");
    event(&subscriber, 1).unwrap();
    assert_eq!(client.told().await["payload"]["data"], 1);
}

#[tokio::test]
async fn a_token_that_is_refused_leaves_the_older_one_in_force_until_its_end() {
    let server = server().await;
    let mut client = Client::ready(&server, "short").await;
    for (token, expected) in [("wrong", "UNAUTHENTICATED"), ("away", "UNAVAILABLE")] {
        client.renew(token).await;
        assert_eq!(client.json().await["payload"]["errors"][0]["extensions"]["code"], expected);
    }
    let (code, reason) = client.closed().await;
    assert_eq!(code, 4403);
    assert!(reason.contains("expired"), "{reason}");
}

#[tokio::test]
async fn nobody_else_takes_over_a_live_socket() {
    let server = server().await;
    for token in ["otto", "south", "payment", "agent"] {
        let mut client = Client::ready(&server, "nora").await;
        client.renew(token).await;
        let (code, reason) = client.closed().await;
        assert_eq!(code, 4403, "{token}");
        assert!(reason.contains("another user's"), "{reason}");
    }
}

#[tokio::test]
async fn a_token_that_takes_its_time_holds_nothing_else_up() {
    let mut server = server().await;
    let mut client = Client::open(&server).await;
    client.init("slow").await;
    assert!(matches!(server.asked.recv().await, Some(Asked::Authenticating)));
    client.send(json!({ "type": "ping" })).await;
    assert_eq!(client.json().await, json!({ "type": "pong" }));
    server.gate.release.notify_one();
    assert_eq!(client.json().await["type"], "connection_ack");

    client.renew("slow").await;
    assert!(matches!(server.asked.recv().await, Some(Asked::Authenticating)));
    client.subscribe("q", "query { a }").await;
    assert_eq!(client.json().await["type"], "next");
    assert_eq!(client.json().await["type"], "complete");
    server.gate.release.notify_one();
    assert!(client.json().await["payload"]["renewed"].is_object());
}
