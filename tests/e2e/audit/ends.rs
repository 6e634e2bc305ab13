//! The trail tells when and why a subscription was over.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::harness::{Frame, Server, soon};

/// Why the nurse's subscriptions ended, in order.
async fn ends(home: &Home) -> Vec<String> {
    let bodies = home.audit_bodies().await;
    let records = bodies.iter().map(|body| serde_json::from_str::<Value>(body).unwrap());
    let mut ends: Vec<_> = records
        .filter(|record| record["action"] == "end")
        .map(|record| {
            assert_eq!(record["recipient"]["user"], "u-nurse", "{record}");
            assert!(record["channel"].as_str().unwrap().starts_with("/members/m-1001/"), "{record}");
            record["why"].as_str().unwrap().to_owned()
        })
        .collect();
    ends.sort_unstable();
    ends
}

async fn only_one_is_left(server: &Server) {
    let mut look = tokio::time::interval(Duration::from_millis(20));
    while !server.get("/metrics").await.1.lines().any(|line| line == "sluice_subscriptions_attached 1") {
        look.tick().await;
    }
}

#[tokio::test]
async fn a_subscription_ends_on_record_with_why_and_a_poll_does_not() {
    let server = gateway().await;
    let nurse = server.viewer("nurse");
    let now = nurse.now().await;
    let mut stays = nurse.connect().await;
    let mut goes = nurse.connect().await;
    let watch = json!({ "member": MEMBER, "after": now });
    for id in ["a", "b"] {
        stays.subscribe(id, WATCH, watch.clone()).await;
    }
    goes.subscribe("c", WATCH, watch).await;
    nurse.request(question(RICH), "k-1").await;
    for id in ["a", "b"] {
        assert!(matches!(stays.frame_for(id).await, Frame::Next(_)));
    }
    assert!(matches!(goes.frame_for("c").await, Frame::Next(_)));
    stays.send(&json!({ "type": "complete", "id": "a" })).await;
    stays.ping().await;
    drop(goes);
    soon("the server to notice", only_one_is_left(&server)).await;
    let home = server.terminate().await;
    assert_eq!(ends(&home).await, ["completed", "connection_closed", "shutdown"]);
    let (whole, words) = verify(&home).await;
    assert!(whole, "{words}");
}
