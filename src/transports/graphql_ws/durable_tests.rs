//! A client that goes by a name: the state machine, and real sockets.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_schema::{
    error::Code,
    ids::SubscriptionName,
    position::{Cursor, Epoch, ReadVector},
};

use super::{
    super::{
        TransportConfig,
        fake::{Asked, Server, cursor},
    },
    protocol::{Delivery, Input},
    protocol_tests::{code, fresh, ready, told},
    socket_tests::{Client, server},
};

#[test]
fn a_client_with_a_name_is_told_where_it_was_and_tells_where_it_is() {
    let mut protocol = fresh();
    let init = r#"{"type":"connection_init","payload":{"authorization":"Bearer t","durable":"desk.1"}}"#;
    assert_eq!(told(&protocol.handle(Input::Text(init))), "authenticate t as desk.1");
    assert_eq!(told(&protocol.handle(Input::Authenticated(Ok(())))), "", "it is looked up first");
    let cursor = Cursor { epoch: Epoch(1), vector: ReadVector(vec![5]) };
    let name: SubscriptionName = "desk.1".parse().unwrap();
    let acknowledged = told(&protocol.deliver(Delivery::Recalled(name, Ok(Some(cursor.clone())))));
    let durable = json!({ "name": "desk.1", "acknowledged": cursor.to_string() });
    let sent: Value = serde_json::from_str(acknowledged.strip_prefix("send ").unwrap()).unwrap();
    assert_eq!(sent, json!({ "type": "connection_ack", "payload": { "durable": durable } }));

    let say = |kind: &str, payload: Value| json!({ "type": kind, "payload": payload }).to_string();
    let acknowledge = json!({ "acknowledge": cursor.to_string() });
    assert_eq!(told(&protocol.handle(Input::Text(&say("ping", acknowledge.clone())))), "acknowledge [5] true");
    assert_eq!(told(&protocol.handle(Input::Text(&say("pong", acknowledge)))), "acknowledge [5] false");
    assert_eq!(told(&protocol.handle(Input::Text(&say("ping", json!({ "forget": true }))))), "forget");
    let malformed = told(&protocol.handle(Input::Text(&say("ping", json!({ "acknowledge": "x" })))));
    assert!(malformed.contains("CURSOR_MALFORMED"), "{malformed}");
    let plain = told(&protocol.handle(Input::Text(&say("ping", json!({ "acknowledge": 5 })))));
    assert_eq!(plain, r#"send {"type":"pong","payload":{"acknowledge":5}}"#, "whatever else a ping holds comes back");
    let told_of = told(&protocol.deliver(Delivery::Acknowledged(Ok(cursor.clone()))));
    assert_eq!(told_of, format!(r#"send {{"payload":{{"acknowledged":"{cursor}"}},"type":"pong"}}"#));
}

#[test]
fn a_client_without_a_name_acknowledges_nothing() {
    let mut protocol = ready();
    let cursor = Cursor { epoch: Epoch(1), vector: ReadVector(vec![5]) };
    let payload = json!({ "acknowledge": cursor.to_string() });
    let refused = told(&protocol.handle(Input::Text(&json!({ "type": "ping", "payload": payload }).to_string())));
    assert!(refused.contains("BAD_REQUEST") && refused.contains("durable"), "{refused}");
    assert_eq!(told(&protocol.handle(Input::Text(&json!({ "type": "pong", "payload": payload }).to_string()))), "");
    let mut protocol = fresh();
    let bad = r#"{"type":"connection_init","payload":{"authorization":"Bearer t","durable":"no name"}}"#;
    assert_eq!(code(&protocol.handle(Input::Text(bad))), 4400);
}

#[test]
fn a_name_that_can_not_be_looked_up_closes_with_1013() {
    let mut protocol = fresh();
    let init = r#"{"type":"connection_init","payload":{"authorization":"Bearer t","durable":"d"}}"#;
    protocol.handle(Input::Text(init));
    protocol.handle(Input::Authenticated(Ok(())));
    let away = Delivery::Recalled("d".parse().unwrap(), Err(Code::Unavailable));
    assert_eq!(code(&protocol.deliver(away)), 1013);
}

impl Client {
    /// Open, and acknowledged, by a name; with what it is told of that.
    async fn named(server: &Server, name: &str) -> (Self, Value) {
        let mut client = Self::open(server).await;
        let payload = json!({ "authorization": "Bearer nora", "durable": name });
        client.send(json!({ "type": "connection_init", "payload": payload })).await;
        let acknowledged = client.json().await;
        (client, acknowledged["payload"]["durable"]["acknowledged"].clone())
    }

    async fn acknowledge(&mut self, cursor: &Cursor) -> Value {
        self.say(json!({ "acknowledge": cursor.to_string() })).await;
        self.json().await["payload"].clone()
    }

    /// By a ping, and waits for no answer.
    async fn say(&mut self, payload: Value) {
        self.send(json!({ "type": "ping", "payload": payload })).await;
    }
}

#[tokio::test]
async fn a_client_with_a_name_goes_on_behind_what_it_acknowledged() {
    let mut server = server().await;
    let behind = |server: &Server| server.gate.behind.lock().unwrap().clone();
    let (mut client, acknowledged) = Client::named(&server, "desk").await;
    assert_eq!(acknowledged, Value::Null);
    client.subscribe("1", "subscription { a }").await;
    let _subscriber = server.subscriber().await;
    assert_eq!(behind(&server), None, "the first time it begins as without a name");
    let begun = cursor(&ReadVector(vec![7]));
    assert_eq!(server.gate.acknowledged.lock().unwrap().get("desk"), Some(&begun), "and where is on record");
    drop(client);
    assert!(matches!(server.asked.recv().await, Some(Asked::Unsubscribed)));

    let (mut client, acknowledged) = Client::named(&server, "desk").await;
    assert_eq!(acknowledged, json!(begun.to_string()));
    client.subscribe("1", "subscription { a }").await;
    let _subscriber = server.subscriber().await;
    assert_eq!(behind(&server), Some(begun.clone()), "it was gone before it acknowledged anything");
    let further = cursor(&ReadVector(vec![9]));
    assert_eq!(client.acknowledge(&further).await, json!({ "acknowledged": further.to_string() }));
    client.subscribe("2", "subscription { a }").await;
    let _subscriber = server.subscriber().await;
    assert_eq!(behind(&server), Some(further.clone()));
    client.acknowledge(&begun).await;
    drop(client);

    let (mut client, acknowledged) = Client::named(&server, "desk").await;
    assert_eq!(acknowledged, json!(further.to_string()), "what comes late moves nothing back");
    let other = Cursor { epoch: Epoch(2), ..further };
    assert_eq!(client.acknowledge(&other).await["errors"][0]["extensions"]["code"], "CURSOR_EXPIRED");
    client.say(json!({ "forget": true })).await;
    assert_eq!(client.json().await["payload"], json!({ "forgotten": true }));
    client.subscribe("1", "subscription { a }").await;
    while !matches!(server.asked.recv().await, Some(Asked::Subscribed(_))) {}
    assert_eq!(behind(&server), None, "it begins anew");
    assert_eq!(server.gate.acknowledged.lock().unwrap().get("desk"), Some(&begun), "and where is on record again");
    client.say(json!({ "forget": true })).await;
    assert_eq!(client.json().await["payload"], json!({ "forgotten": true }));
    assert_eq!(Client::named(&server, "desk").await.1, Value::Null);
    let mut away = Client::open(&server).await;
    let payload = json!({ "authorization": "Bearer nora", "durable": "away" });
    away.send(json!({ "type": "connection_init", "payload": payload })).await;
    assert_eq!(away.closed().await.0, 1013);
}

async fn is_writing(server: &mut Server) {
    assert!(matches!(server.asked.recv().await, Some(Asked::Writing)));
}

/// However often it is asked for, one is in flight, and everybody who asked is answered.
#[tokio::test]
async fn what_is_asked_for_while_the_same_is_written_joins_the_next() {
    let mut server = server().await;
    let (mut client, _) = Client::named(&server, "slow").await;
    let last = cursor(&ReadVector(vec![40]));
    let forget = json!({ "forget": true });
    let acknowledgements = (1..=40).map(|seq| json!({ "acknowledge": cursor(&ReadVector(vec![seq])).to_string() }));
    let acknowledged = json!({ "acknowledged": last.to_string() });
    let forgotten = json!({ "forgotten": true });
    for (said, told) in
        [(vec![forget; 40], forgotten), (acknowledgements.rev().collect::<Vec<_>>(), acknowledged.clone())]
    {
        client.say(said[0].clone()).await;
        is_writing(&mut server).await;
        for again in &said[1..] {
            client.say(again.clone()).await;
        }
        // A round trip: all of it was read.
        client.ping().await;
        assert!(server.asked.try_recv().is_err(), "one at a time");
        server.gate.release.notify_one();
        assert_eq!(client.json().await["payload"], told);
        is_writing(&mut server).await;
        server.gate.release.notify_one();
        for _ in &said[1..] {
            assert!(client.json().await["payload"].get("errors").is_none());
        }
    }
    client.ping().await;
    assert!(server.asked.try_recv().is_err(), "all of them were one more");
    assert_eq!(server.gate.acknowledged.lock().unwrap().get("slow"), Some(&last));
}

#[tokio::test]
async fn what_waits_to_be_written_is_bounded() {
    let mut server = server().await;
    let (mut client, _) = Client::named(&server, "slow").await;
    let acknowledge = json!({ "acknowledge": cursor(&ReadVector(vec![1])).to_string() });
    let mut refused = 0;
    for said in [acknowledge, json!({ "forget": true })].iter().cycle().take(60) {
        client.say(said.clone()).await;
        client.send(json!({ "type": "ping" })).await;
        let answer = client.json().await;
        if answer["payload"]["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED" {
            refused += 1;
            client.json().await;
        }
    }
    assert!(refused > 20, "{refused}");
    // One is being written, and eight wait; the others are answered with what they joined.
    for _ in 0..9 {
        is_writing(&mut server).await;
        server.gate.release.notify_one();
    }
    for _ in refused..60 {
        assert!(client.json().await["payload"].get("errors").is_none());
    }
    assert!(server.asked.try_recv().is_err());
}

fn two_at_once(a_second: u32) -> TransportConfig {
    TransportConfig { max_operations_per_second: a_second, max_operations_burst: 2, ..TransportConfig::default() }
}

#[tokio::test]
async fn acknowledgements_are_written_as_fast_as_operations_may_begin() {
    let server = Server::start(two_at_once(100)).await;
    let (mut client, _) = Client::named(&server, "desk").await;
    let begun = Instant::now();
    for seq in 1..=30 {
        let cursor = cursor(&ReadVector(vec![seq]));
        assert_eq!(client.acknowledge(&cursor).await, json!({ "acknowledged": cursor.to_string() }));
    }
    assert!(begun.elapsed().as_millis() >= 280, "none of them waited: {:?}", begun.elapsed());
    assert_eq!(server.gate.acknowledged.lock().unwrap().get("desk"), Some(&cursor(&ReadVector(vec![30]))));
}

#[tokio::test]
async fn who_forgets_too_often_is_held_back_and_who_connects_too_often_is_sent_away() {
    let server = Server::start(two_at_once(1)).await;
    // Each second brings one more, so a slow machine may be let through some times.
    let (mut client, _) = Client::named(&server, "desk").await;
    let mut answer = json!({ "forgotten": true });
    for tries in 0.. {
        if answer != json!({ "forgotten": true }) {
            break;
        }
        assert!(tries < 50, "never held back");
        client.say(json!({ "forget": true })).await;
        answer = client.json().await["payload"].clone();
    }
    let extensions = &answer["errors"][0]["extensions"];
    assert_eq!(extensions["code"], "LIMIT_EXCEEDED");
    assert!(extensions["retryAfterMs"].as_u64().is_some_and(|wait| wait <= 1_000), "{answer}");

    for tries in 0.. {
        assert!(tries < 50, "never sent away");
        let mut another = Client::open(&server).await;
        another.init("nora").await;
        // Whoever is let in is sent away for this.
        another.send(json!("no message")).await;
        let (code, reason) = another.closed().await;
        if code == 1013 {
            assert!(reason.contains("operations") && reason.contains(" ms"), "{reason}");
            break;
        }
        assert_eq!(code, 4400);
    }
}

/// It was answered nothing, and nobody would bound how many such wait.
#[tokio::test]
async fn what_waits_for_its_turn_ends_with_its_client() {
    let mut server = Server::start(TransportConfig { max_in_flight_per_viewer: 1, ..TransportConfig::default() }).await;
    let body = json!({ "query": "query slow" }).to_string();
    let query = reqwest::Client::new().post(server.url("/graphql")).bearer_auth("nora");
    let _query = tokio::spawn(query.header("content-type", "application/json").body(body).send());
    assert!(matches!(server.asked.recv().await, Some(Asked::Executing)));
    let (mut client, _) = Client::named(&server, "desk").await;
    client.say(json!({ "acknowledge": cursor(&ReadVector(vec![9])).to_string() })).await;
    client.say(json!({ "forget": true })).await;
    client.ping().await;
    drop(client);
    server.tasks.close();
    let ended = tokio::time::timeout(Duration::from_secs(20), server.tasks.wait());
    ended.await.expect("it waits for ever");
    assert!(server.gate.acknowledged.lock().unwrap().is_empty());
}
