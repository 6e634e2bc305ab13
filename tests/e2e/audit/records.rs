//! What somebody asked for, was shown and was denied is on record, each with who, for what purpose, how, and about whom.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::harness::{CHECK, Frame, Server};

const EVERYBODY: &str = "/members/*/eligibility/*";
const MEMBER_BY_ID: &str = "query($id: ID!) { member(id: $id) { id } }";

/// The records of one kind and one transport, without what differs from run to run.
fn of(records: &[Value], action: &str, transport: &str) -> Vec<Value> {
    let is_such = |record: &&Value| {
        let who = record.get("recipient").or(record["recipients"].get(0)).unwrap_or(&Value::Null);
        record["action"] == action && who["transport"] == transport
    };
    let mut found: Vec<_> = records.iter().filter(is_such).cloned().collect();
    for record in &mut found {
        let record = record.as_object_mut().unwrap();
        record.retain(|name, _| !["at", "tenant", "action", "cursor", "event_id"].contains(&name.as_str()));
    }
    found
}

fn by(user: &str, purpose: &str, transport: &str) -> Value {
    json!({ "user": user, "purpose": purpose, "transport": transport })
}

/// Shows the nurse a check over HTTP, by WebSocket and by polling, and denies it to a stranger. The check's id, and the trail.
async fn after_all_of_it(server: Server) -> (String, Vec<Value>, Home) {
    let (nurse, stranger) = (server.viewer("nurse"), server.viewer("stranger"));
    let before = nurse.now().await;
    let mut watching = nurse.connect().await;
    watching.subscribe("w", WATCH, json!({ "member": MEMBER, "after": before })).await;
    let asked = nurse.request(question(RICH), "k-1").await;
    let id = asked["data"]["requestEligibilityCheck"]["id"].as_str().unwrap().to_owned();
    while watching.next_for("w").await["data"]["memberEligibility"]["state"] != "ANSWERED" {}
    nurse.graphql(CHECK, json!({ "id": id })).await;
    let polled = nurse.poll(EVERYBODY, Some(&before), Duration::from_secs(5)).await;
    assert!(!polled["events"].as_array().unwrap().is_empty(), "{polled}");

    for (query, id) in [(CHECK, id.as_str()), (CHECK, "ec-none"), (MEMBER_BY_ID, MEMBER), (MEMBER_BY_ID, "m-none")] {
        let denied = stranger.graphql(query, json!({ "id": id })).await;
        assert_eq!(crate::harness::code(&denied), "NOT_FOUND", "{denied}");
    }
    let mut refused = stranger.connect().await;
    refused.subscribe("w", WATCH, json!({ "member": MEMBER })).await;
    assert!(matches!(refused.frame_for("w").await, Frame::Error(_)));
    let home = server.terminate().await;
    let records: Vec<Value> =
        home.audit_bodies().await.iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    assert!(records.iter().all(|record| record["tenant"] == home.tenant()), "{records:?}");
    (id, records, home)
}

#[tokio::test]
async fn what_was_shown_and_denied_is_told_with_who_why_how_and_of_whom() {
    let (id, records, home) = after_all_of_it(gateway().await).await;
    let subject = format!("EligibilityCheck/{id}");
    assert_shown(&records, &subject);
    assert_watched(&records);
    assert_denied(&records, &subject);
    let tried = home.audit_denied(MEMBER).await;
    assert_eq!(tried, ["u-stranger"; 3], "as docs/audit.md looks them up");
    let (whole, words) = verify(&home).await;
    assert!(whole, "{words}");
}

fn assert_shown(records: &[Value], subject: &str) {
    let shown = of(records, "respond", "http");
    assert_eq!(shown.len(), 2, "what she asked for, and what she read: {shown:?}");
    for record in shown {
        assert_eq!(record["recipient"], by("u-nurse", "TREAT", "http"));
        let [disclosed] = &record["disclosed"].as_array().unwrap()[..] else { panic!("{record}") };
        assert_eq!((&disclosed["patient"], &disclosed["subject"]), (&json!(MEMBER), &json!(subject)));
        assert_eq!(disclosed["seen"]["visibilities"], 4, "as one of the care team");
        assert!(!disclosed["seen"]["revision"].as_str().unwrap().is_empty());
    }
}

fn assert_watched(records: &[Value]) {
    let nurse = by("u-nurse", "TREAT", "graphql-ws");
    let channel = format!("/members/{MEMBER}/eligibility/*");
    let watched = json!({ "recipient": nurse, "patient": MEMBER, "channel": channel });
    assert_eq!(of(records, "subscribe", "graphql-ws"), [watched]);
    let over = json!({ "recipient": nurse, "patient": MEMBER, "channel": channel, "why": "shutdown" });
    assert_eq!(of(records, "end", "graphql-ws"), [over]);
    let polled = json!({ "recipient": by("u-nurse", "TREAT", "long-poll"), "channel": EVERYBODY });
    assert!(of(records, "subscribe", "long-poll").contains(&polled), "of nobody alone");
    for transport in ["graphql-ws", "long-poll"] {
        let told = of(records, "deliver", transport);
        assert!(!told.is_empty(), "by {transport}");
        let is_hers = |record: &Value| record["patient"] == MEMBER && record["seen"]["visibilities"] == 4;
        assert!(told.iter().all(is_hers), "{told:?}");
    }
}

fn assert_denied(records: &[Value], subject: &str) {
    let member = format!("Member/{MEMBER}");
    let denied = of(records, "deny", "http");
    let stranger = by("u-stranger", "PATRQT", "http");
    let refusals = [
        json!({ "recipient": stranger, "patient": MEMBER, "what": subject }),
        json!({ "recipient": stranger, "what": "EligibilityCheck/ec-none" }),
        json!({ "recipient": stranger, "patient": MEMBER, "what": member }),
        json!({ "recipient": stranger, "patient": "m-none", "what": "Member/m-none" }),
    ];
    assert_eq!(denied.len(), refusals.len(), "{denied:?}");
    assert!(refusals.iter().all(|refusal| denied.contains(refusal)), "{denied:?}");
    let refusal = json!({ "recipient": by("u-stranger", "PATRQT", "graphql-ws"), "patient": MEMBER, "what": member });
    assert_eq!(of(records, "deny", "graphql-ws"), [refusal]);
}

/// So that the records of several hosts are told apart without being told to.
#[tokio::test]
async fn a_writer_has_its_hosts_name_where_it_was_given_none() {
    let home = after_a_run().await;
    let heads = std::fs::read_to_string(home.data_dir().join("audit-heads.jsonl")).unwrap();
    let head: Value = serde_json::from_str(heads.lines().next().unwrap()).unwrap();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert!(head["writer"].as_str().unwrap().starts_with(&format!("{}.", host.trim())), "{head}");
}
