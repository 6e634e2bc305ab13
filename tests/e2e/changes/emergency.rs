//! Breaking the glass.

use std::time::Duration;

use serde_json::{Value, json};

use super::{CHECKS, answered, family};
#[cfg(feature = "failpoints")]
use crate::harness::{Frame, Options};
use crate::harness::{MEMBER, Server, code, gateway};

const BREAK_GLASS: &str = "mutation($id: ID!, $reason: String!, $minutes: Int!) {
    breakGlass(memberId: $id, reason: $reason, minutes: $minutes) { until eventId }
}";
const EVENTS: &str = "subscription($channel: Channel!) { events(channel: $channel) { type payload {
    ... on EligibilityCheckChanged { after { state coverage { substanceUseBenefits { code } } } }
    ... on GlassBroken { memberId userId reason until }
} } }";

#[tokio::test]
async fn broken_glass_is_told_first_and_opens_a_running_stream() {
    let server = gateway().await;
    let channel = json!({ "channel": format!("/members/{MEMBER}/**") });
    let mut physician = server.viewer("physician").connect().await;
    physician.subscribe("w", EVENTS, channel.clone()).await;
    let mut officer = server.viewer("privacy").connect().await;
    officer.subscribe("w", EVENTS, json!({ "channel": "/members/*/emergency" })).await;
    officer.ping().await;
    let mut nurse = server.viewer("nurse").connect().await;
    nurse.subscribe("w", CHECKS, json!({})).await;
    let before = server.viewer("member").now().await;
    assert_eq!(family(server.viewer("member"), "FAMILY_COVERAGE").await["errors"], Value::Null);
    answered(&server, &mut nurse, "w", "k-1").await;
    physician.ping().await;
    assert!(!physician.log().concat().contains("\"next\""), "nothing is open to her yet: {:?}", physician.log());

    let words = json!({ "id": MEMBER, "reason": "Found unconscious, no relative at hand", "minutes": 5 });
    for person in ["nurse", "member", "stranger", "privacy"] {
        assert_eq!(code(&server.graphql(person, BREAK_GLASS, words.clone()).await), "NOT_FOUND", "{person}");
    }
    let broken = server.graphql("physician", BREAK_GLASS, words).await;
    let event = broken["data"]["breakGlass"]["eventId"].as_str().unwrap_or_else(|| panic!("{broken}"));
    let alert = officer.next_for("w").await;
    let payload = &alert["data"]["events"]["payload"];
    assert_eq!((&payload["userId"], &payload["memberId"]), (&json!("u-physician"), &json!(MEMBER)), "{alert}");
    assert_eq!(payload["reason"], "Found unconscious, no relative at hand");
    answered(&server, &mut nurse, "w", "k-2").await;
    let opened = loop {
        let next = physician.next_for("w").await;
        let after = next["data"]["events"]["payload"]["after"].clone();
        if after["state"] == "ANSWERED" {
            break after;
        }
    };
    assert!(opened["coverage"]["substanceUseBenefits"].is_array(), "every class is open: {opened}");

    assert_broken_glass_is_seen(&server, &before, event).await;
    let home = server.terminate().await;
    let trail = home.audit_bodies().await;
    let place = |words: &[&str]| {
        let found = trail.iter().position(|body| words.iter().all(|word| body.contains(word)));
        found.unwrap_or_else(|| panic!("{words:?} is not in {trail:#?}"))
    };
    let recorded = place(&["\"administer\"", "break_glass", "u-physician", "#emergency@"]);
    assert!(recorded < place(&["\"deliver\"", event]), "recorded before it is told");
    // Care team, by emergency; every class, one of them asked about anew.
    place(&["\"deliver\"", "u-physician", "\"visibilities\":68", "\"sensitivities\":"]);
    assert!(!trail.concat().contains("unconscious"), "the reason is in the event alone");
}

/// By the member whole, by who follows her care without who it was and why, by who follows her coverage not at all.
async fn assert_broken_glass_is_seen(server: &Server, before: &str, event: &str) {
    let channel = format!("/members/{MEMBER}/emergency");
    let told = server.poll("member", &channel, Some(before), Duration::ZERO).await;
    let [broken] = told["events"].as_array().unwrap().as_slice() else { panic!("{told}") };
    assert_eq!((&broken["id"], &broken["redacted"]), (&json!(event), &Value::Null), "{told}");
    let until = &broken["payload"]["until"];
    let whole = json!({
        "memberId": MEMBER, "userId": "u-physician", "reason": "Found unconscious, no relative at hand", "until": until,
    });
    assert!(until.is_string() && broken["payload"] == whole, "{told}");

    // The demo member's guardian follows everything that families may.
    let told = server.poll("guardian", &channel, Some(before), Duration::ZERO).await;
    let [broken] = told["events"].as_array().unwrap().as_slice() else { panic!("{told}") };
    assert_eq!(broken["payload"], json!({ "memberId": MEMBER, "until": until }), "{told}");
    assert_eq!(broken["redacted"], json!([["payload", "userId"], ["payload", "reason"]]), "{told}");

    let told = server.poll("stranger", &channel, Some(before), Duration::ZERO).await;
    assert_eq!(told["events"], json!([]), "{told}");
    assert!(!told.to_string().contains("unconscious"), "{told}");
}

/// What can't be recorded is neither told nor done.
#[cfg(feature = "failpoints")]
#[tokio::test]
async fn glass_that_can_not_be_recorded_stays_whole() {
    let server = gateway().await;
    let before = server.viewer("privacy").now().await;
    let unrecorded = Options::failpoints("audit.before-commit=pause");
    let server = Server::start_in(server.terminate().await, unrecorded).await;
    let words = json!({ "id": MEMBER, "reason": "Found unconscious", "minutes": 5 });
    assert_eq!(code(&server.graphql("physician", BREAK_GLASS, words).await), "UNAVAILABLE");

    let server = Server::start_in(server.kill().await, Options::default()).await;
    let told = server.poll("privacy", "/members/*/emergency", Some(&before), Duration::ZERO).await;
    assert_eq!(told["events"], json!([]), "{told}");
    let mut physician = server.viewer("physician").connect().await;
    physician.subscribe("w", CHECKS, json!({})).await;
    assert!(matches!(physician.frame_for("w").await, Frame::Error(_)), "nothing was opened");
}
