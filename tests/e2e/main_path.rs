//! The main path: asked, acknowledged at once, answered as an event, never lost and never twice.

use serde_json::{Value, json};

use crate::harness::{CHECK, MEMBER, Options, RICH, Server, WATCH, Ws, code, cursor, gateway, question, run};

/// A card that no payer answers: the check stays ACCEPTED.
const UNANSWERED: (&str, &str) = ("SLUICE", "NEVER");

fn id(response: &Value) -> &str {
    let data = response["data"].as_object().unwrap_or_else(|| panic!("no data: {response}"));
    data.values().next().unwrap()["id"].as_str().unwrap()
}

fn state(payload: &Value) -> &str {
    payload["data"]["memberEligibility"]["state"].as_str().unwrap_or_else(|| panic!("no state: {payload}"))
}

async fn watch(ws: &mut Ws, id: &str, after: &str) {
    ws.subscribe(id, WATCH, json!({ "member": MEMBER, "after": after })).await;
}

/// Asks, and waits for the answer's event: the check's id, and the cursors of its two events.
async fn answered(server: &Server, key: &str) -> (String, [String; 2]) {
    let nurse = server.viewer("nurse");
    let mut ws = nurse.connect().await;
    watch(&mut ws, "w", &nurse.now().await).await;
    let accepted = nurse.request(question(RICH), key).await;
    let mut cursors = [const { String::new() }; 2];
    for (kept, expected) in cursors.iter_mut().zip(["ACCEPTED", "ANSWERED"]) {
        let payload = ws.next_for("w").await;
        assert_eq!(state(&payload), expected);
        *kept = cursor(&payload).to_owned();
    }
    (id(&accepted).to_owned(), cursors)
}

#[tokio::test]
async fn a_request_is_accepted_at_once_and_its_answer_comes_as_an_event() {
    let server = gateway().await;
    let nurse = server.viewer("nurse");
    let mut ws = nurse.connect().await;
    let asked_from = nurse.now().await;
    watch(&mut ws, "w", &asked_from).await;

    let accepted = nurse.request(question(RICH), "k-1").await;
    assert_eq!(accepted["data"]["requestEligibilityCheck"]["state"], "ACCEPTED");

    let first = ws.next_for("w").await;
    let expected = json!({ "id": id(&accepted), "state": "ACCEPTED", "coverage": null });
    assert_eq!(first["data"]["memberEligibility"], expected);
    let second = ws.next_for("w").await;
    let expected = json!({ "id": id(&accepted), "state": "ANSWERED", "coverage": { "planName": "Harbor PPO 1500" } });
    assert_eq!(second["data"]["memberEligibility"], expected);
    let places = [&asked_from, cursor(&first), cursor(&second)];
    assert!(places[0] != places[1] && places[1] != places[2], "each event has a cursor of its own: {places:?}");
}

#[tokio::test]
async fn a_subscription_without_a_cursor_begins_with_the_state() {
    let server = gateway().await;
    let (check, _) = answered(&server, "k-1").await;
    let mut ws = server.viewer("guardian").connect().await;
    ws.subscribe("w", WATCH, json!({ "member": MEMBER, "after": null })).await;
    let first = ws.next_for("w").await;
    assert_eq!((state(&first), &first["data"]["memberEligibility"]["id"]), ("ANSWERED", &json!(check)));
}

#[tokio::test]
async fn resuming_goes_on_right_behind_the_cursor() {
    let server = gateway().await;
    let (_, [accepted, end]) = answered(&server, "k-1").await;
    let mut ws = server.viewer("guardian").connect().await;
    watch(&mut ws, "accepted", &accepted).await;
    watch(&mut ws, "end", &end).await;
    assert_eq!(state(&ws.next_for("accepted").await), "ANSWERED");

    // What comes next shows that there was nothing in between.
    let (check, _) = answered(&server, "k-2").await;
    for operation in ["accepted", "end"] {
        for expected in ["ACCEPTED", "ANSWERED"] {
            let payload = ws.next_for(operation).await;
            assert_eq!((state(&payload), id(&payload)), (expected, &*check), "{operation}");
        }
    }
}

#[tokio::test]
async fn a_mutations_cursor_is_behind_what_it_did() {
    let server = gateway().await;
    let nurse = server.viewer("nurse");
    let accepted = nurse.request(question(UNANSWERED), "k-1").await;
    let mut ws = nurse.connect().await;
    watch(&mut ws, "w", cursor(&accepted)).await;
    let cancelled = nurse.cancel(id(&accepted)).await;
    assert_eq!(cancelled["data"]["cancelEligibilityCheck"]["state"], "CANCELLED");
    assert_eq!(state(&ws.next_for("w").await), "CANCELLED");
}

#[tokio::test]
async fn the_same_key_is_the_same_check_and_with_other_input_a_conflict() {
    let server = gateway().await;
    let nurse = server.viewer("nurse");
    let first = nurse.request(question(RICH), "k-1").await;
    let again = nurse.request(question(RICH), "k-1").await;
    assert_eq!(id(&again), id(&first));
    let other = nurse.request(question(UNANSWERED), "k-1").await;
    assert_eq!(code(&other), "IDEMPOTENCY_CONFLICT");
    // A key belongs to who made it.
    let billing = server.viewer("billing").request(question(RICH), "k-1").await;
    assert_ne!(id(&billing), id(&first));
}

#[tokio::test]
async fn what_is_answered_cannot_be_called_off() {
    let server = gateway().await;
    let (check, _) = answered(&server, "k-1").await;
    let refused = server.viewer("nurse").cancel(&check).await;
    assert_eq!(code(&refused), "CONFLICT");
    let read = server.graphql("nurse", CHECK, json!({ "id": check })).await;
    assert_eq!(read["data"]["eligibilityCheck"]["state"], "ANSWERED");
}

#[tokio::test]
async fn a_restart_keeps_checks_keys_and_cursors() {
    let server = gateway().await;
    let (check, [accepted, _]) = answered(&server, "k-1").await;
    let server = Server::start_in(server.terminate().await, Options::default()).await;

    let read = server.graphql("nurse", CHECK, json!({ "id": check })).await;
    assert_eq!(read["data"]["eligibilityCheck"]["coverage"]["planName"], "Harbor PPO 1500");
    assert_eq!(id(&server.viewer("nurse").request(question(RICH), "k-1").await), check);
    let mut ws = server.viewer("nurse").connect().await;
    watch(&mut ws, "w", &accepted).await;
    assert_eq!(state(&ws.next_for("w").await), "ANSWERED");
}

#[tokio::test]
async fn another_tenant_with_the_same_ids_is_another_world() {
    let server = gateway().await;
    let asked = server.viewer("member").request(question(RICH), "k-1").await;
    let id = &asked["data"]["requestEligibilityCheck"]["id"];
    let who = ["token", "--user", "u-member", "--tenant", "elsewhere", "--purpose", "PATRQT"];
    let token = run(&who, server.home(), &[]).await.stdout;
    let token = String::from_utf8(token).unwrap();
    let stranger = server.with_token(token.trim());
    for (query, variables) in [(CHECK, json!({ "id": id })), ("{ member(id: \"m-1001\") { id } }", json!({}))] {
        assert_eq!(code(&stranger.graphql(query, variables).await), "NOT_FOUND");
    }
    assert_eq!(code(&stranger.request(question(RICH), "k-1").await), "NOT_FOUND", "nor is the key known there");
}

#[tokio::test]
async fn one_check_can_be_watched_and_resumed_by_itself() {
    const ONE: &str =
        "subscription($id: ID!, $after: Cursor) { eligibilityCheckUpdated(id: $id, after: $after) { id state } }";
    let server = gateway().await;
    let viewer = server.viewer("guardian");
    let asked = viewer.request(question(UNANSWERED), "k-1").await;
    viewer.request(question(RICH), "k-2").await;
    let mut ws = viewer.connect().await;
    ws.subscribe("one", ONE, json!({ "id": id(&asked) })).await;
    let first = ws.next_for("one").await;
    assert_eq!(
        first["data"]["eligibilityCheckUpdated"],
        json!({ "id": id(&asked), "state": "ACCEPTED" }),
        "its state now"
    );

    let after = first["extensions"]["cursor"].as_str().unwrap().to_owned();
    viewer.cancel(id(&asked)).await;
    ws.subscribe("again", ONE, json!({ "id": id(&asked), "after": after })).await;
    for operation in ["one", "again"] {
        let next = ws.next_for(operation).await;
        assert_eq!(
            next["data"]["eligibilityCheckUpdated"]["state"], "CANCELLED",
            "{operation}: no other check's change"
        );
    }
}

/// A client that keeps nothing, and a gateway that is killed: what was acknowledged is behind them, and all the rest comes.
#[tokio::test]
async fn a_client_with_a_name_misses_nothing_and_needs_no_memory() {
    let server = gateway().await;
    let named = async |server: &Server| Ws::named(server.subscriptions_url(), server.token("nurse"), "desk-7").await;
    let subscribe = async |ws: &mut Ws| ws.subscribe("w", WATCH, json!({ "member": MEMBER, "after": null })).await;
    let (mut ws, acknowledged) = named(&server).await;
    assert_eq!(acknowledged, None);
    subscribe(&mut ws).await;
    // The subscription has begun once the server answers what was sent behind it.
    ws.ping().await;
    let (first, [_, first_end]) = answered(&server, "k-1").await;
    drop(ws);

    let (mut ws, acknowledged) = named(&server).await;
    assert!(acknowledged.is_some(), "where it began is on record, though it has acknowledged nothing");
    subscribe(&mut ws).await;
    let seen = [ws.next_for("w").await, ws.next_for("w").await];
    assert_eq!(seen.each_ref().map(state), ["ACCEPTED", "ANSWERED"]);
    assert!(seen.iter().all(|event| event["data"]["memberEligibility"]["id"] == first));
    assert_eq!(cursor(&seen[1]), first_end);
    ws.acknowledge(cursor(&seen[0])).await;
    let home = server.kill().await;

    let server = Server::start_in(home, Options::default()).await;
    let (mut ws, acknowledged) = named(&server).await;
    assert_eq!(acknowledged.as_deref(), Some(cursor(&seen[0])));
    subscribe(&mut ws).await;
    assert_eq!(ws.next_for("w").await, seen[1], "right behind what was acknowledged");
}
