//! What a subscription's events will be decided for is decided as it begins: the first of them need not wait.

use std::sync::LazyLock;

use serde_json::json;
use sluice::{app::Altered, telemetry::Metrics};
use sluice_schema::{
    proto::eligibility::{Benefit, Coverage, EligibilityCheck, EligibilityState},
    viewer::PurposeOfUse,
};
use sluice_subscriptions::relationships::{ObjectRef, Relationship, SubjectRef, Update};
use tokio::sync::watch;

use crate::{
    harness::{Ws, soon},
    installation::{Check, Gateway, GatewayOptions, Home, answered_by, on_real_parts},
};

const EVENTS: &str = "subscription { events(channel: \"/members/m-1/**\") { payload {
    ... on EligibilityCheckChanged { after { state coverage { behavioralHealthBenefits { name } } } }
} } }";

/// What depends on no class.
const MEMBER: &str = "{ member(id: \"m-1\") { eligibility { checks { nodes { state } } } } }";

/// How many requests there were; of one gateway, since one test has one.
static REQUESTS: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

#[tokio::test]
async fn a_channels_first_event_is_decided_by_what_was_decided_as_it_was_subscribed_to() {
    let home = Home::new().await;
    let altered = Altered {
        relationships: |real| answered_by(real, |_, _| REQUESTS.send_modify(|requests| *requests += 1)),
        ..Altered::default()
    };
    let options = GatewayOptions { node: "a", environment: Vec::new(), metrics: Metrics::detached(), altered };
    let gateway = Gateway::open(&home, options).await;
    let object = |object_type: &str, id: &str| ObjectRef::new(object_type, &gateway.tenant, id);
    let subject = SubjectRef { object: object("user", "u-1"), relation: None };
    let herself = Relationship { resource: object("member", "m-1"), relation: "self".into(), subject, expires: None };
    gateway.ports.relationships.write(vec![Update::Touch(herself)]).await.unwrap();

    let token = gateway.token("u-1", PurposeOfUse::PatientRequest);
    soon("decisions that are kept", async {
        loop {
            let before = *REQUESTS.borrow();
            gateway.graphql(&token, MEMBER, json!({})).await;
            if *REQUESTS.borrow() == before {
                return;
            }
        }
    })
    .await;
    let before = *REQUESTS.borrow();
    let mut ws = Ws::open(&gateway.subscriptions_url(), &token).await;
    ws.subscribe("w", EVENTS, json!({})).await;
    soon("a decision before any event", REQUESTS.subscribe().wait_for(|requests| *requests > before)).await.unwrap();
    ws.ping().await;
    let ahead = *REQUESTS.borrow();

    let benefit = Benefit { name: Some("Active Coverage".into()), ..Benefit::default() };
    let coverage = Coverage { behavioral_health_benefits: vec![benefit], ..Coverage::default() };
    let state = EligibilityState::Answered.into();
    let answered = EligibilityCheck { state, coverage: Some(coverage), ..EligibilityCheck::default() };
    Check::new(&gateway.tenant, "m-1", "ec-1").publish(&gateway.ports, vec![answered; 3]).await;
    for _ in 0..3 {
        let payload = ws.next_for("w").await;
        let after = &payload["data"]["events"]["payload"]["after"];
        assert_eq!(after["coverage"]["behavioralHealthBenefits"][0]["name"], "Active Coverage", "{payload}");
    }
    // What was written at first is told once more there, by Watch, and what was decided forgotten.
    if !on_real_parts() {
        assert_eq!(*REQUESTS.borrow(), ahead, "nothing more had to be asked");
    }
    gateway.close().await;
}
