//! A client that goes by a name: the state machine, and real sockets.

use serde_json::{Value, json};
use sluice_schema::{
    error::Code,
    ids::SubscriptionName,
    position::{Cursor, Epoch, ReadVector},
};

use super::{
    super::fake::{Asked, Server, cursor},
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
        self.send(json!({ "type": "ping", "payload": { "acknowledge": cursor.to_string() } })).await;
        self.json().await["payload"].clone()
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
    client.send(json!({ "type": "ping", "payload": { "forget": true } })).await;
    assert_eq!(client.json().await["payload"], json!({ "forgotten": true }));
    assert_eq!(Client::named(&server, "desk").await.1, Value::Null);
    let mut away = Client::open(&server).await;
    let payload = json!({ "authorization": "Bearer nora", "durable": "away" });
    away.send(json!({ "type": "connection_init", "payload": payload })).await;
    assert_eq!(away.closed().await.0, 1013);
}
