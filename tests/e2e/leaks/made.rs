//! Events by the way that events come about: people write, and a payer answers.

use serde_json::{Value, json};

use super::{CHANNEL, EVENTS, word};
use crate::harness::{MEMBER, RICH, Server, Ws, question};

const BREAK_GLASS: &str = "mutation($id: ID!, $reason: String!) {
    breakGlass(memberId: $id, reason: $reason, minutes: 1) { eventId }
}";

/// The word wherever a text is free: in a question to a payer, and in the reason for an emergency. How many events came of it.
pub(super) async fn make(server: &Server) -> usize {
    let mut ws = server.viewer("member").connect().await;
    ws.subscribe("w", EVENTS, json!({ "channel": CHANNEL, "after": null })).await;
    ws.ping().await;
    let mut events = 0;
    let mut rich = question(RICH);
    for pointer in ["/subscriber/firstName", "/subscriber/lastName", "/provider/organizationName"] {
        *rich.pointer_mut(pointer).unwrap() = Value::from(word());
    }
    for (input, key) in [(rich, "k-1"), (question((RICH.0, word())), "k-2")] {
        let asked = server.viewer("billing").request(input, key).await;
        assert_eq!(asked["data"]["requestEligibilityCheck"]["state"], "ACCEPTED", "{asked}");
        events += until(&mut ws, |event| event["payload"]["after"]["state"] == "ANSWERED").await;
    }
    let broken = server.graphql("physician", BREAK_GLASS, json!({ "id": MEMBER, "reason": word() })).await;
    assert!(broken["data"]["breakGlass"]["eventId"].is_string(), "{broken}");
    events + until(&mut ws, |event| event["payload"]["reason"] == word()).await
}

/// Reads events to the one that it is; how many.
async fn until(ws: &mut Ws, is_it: impl Fn(&Value) -> bool) -> usize {
    let mut events = 1;
    while !is_it(&ws.next_for("w").await["data"]["events"]) {
        events += 1;
    }
    events
}
