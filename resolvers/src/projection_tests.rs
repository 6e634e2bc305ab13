//! Whoever shares a renderer gets just the bytes that a fresh execution for her alone would give.

use jiff::Timestamp;
use proptest::prelude::*;
use prost::Message;
use sluice_schema::{
    access::{Mask, Sensitivities, Visibilities},
    event::RecordedEvent,
    position::{Epoch, Position},
    proto::{eligibility as pb, header::Header},
    sealed::Sealed,
};
use sluice_subscriptions::opened::OpenedEvent;

use super::*;
use crate::{
    operation::{Limits, RawRequest},
    roots::builder,
};

#[path = "projection_published_tests.rs"]
mod published;

const CHECK: &str = "subscription { memberEligibility(memberId: \"m-1\") { id state payer: payerId subscriber { memberId firstName }
    coverage { active copays { amount network } benefits { code } behavioralHealthBenefits { code } } rejections { code } } }";
const EVENTS: &str =
    "subscription { events(channel: \"/**\") { id type payload { __typename ... on EligibilityCheckChanged {
    changed before { state } after { state coverage { planName groupNumber hivBenefits { code } } } } } } }";

async fn projection(query: &str) -> GraphqlProjection {
    let raw = RawRequest { query: query.into(), ..RawRequest::default() };
    let operation = Operation::parse(raw, &Limits::default()).expect("parses");
    let validated = GraphqlProjection::validate(builder().finish(), operation).await;
    validated.map_err(|response| format!("{:?}", response.errors)).expect("is valid").0
}

fn check(seed: u8) -> pb::EligibilityCheck {
    let benefit = || pb::Benefit { code: Some("1".into()), ..pb::Benefit::default() };
    pb::EligibilityCheck {
        id: format!("ec-{seed}"),
        state: i32::from(seed % 5) + 1,
        payer_id: Some("60054".into()),
        subscriber: (!seed.is_multiple_of(3))
            .then(|| pb::Subscriber { member_id: Some("RC1".into()), ..Default::default() }),
        coverage: (!seed.is_multiple_of(2)).then(|| pb::Coverage {
            active: Some(true),
            group_number: Some("G-1".into()),
            copays: vec![pb::CostShare { amount: Some("20".into()), network: Some(1), ..Default::default() }; 2],
            benefits: vec![benefit()],
            behavioral_health_benefits: vec![benefit()],
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn event(seed: u8) -> Arc<OpenedEvent> {
    let changed = pb::EligibilityCheckChanged {
        before: (!seed.is_multiple_of(4)).then(|| check(seed.wrapping_add(1))),
        after: Some(check(seed)),
        changed: ["state", "coverage.group_number", "coverage.behavioral_health_benefits"].map(String::from).into(),
    };
    let header = Header {
        event_id: format!("e-{seed}"),
        r#type: EligibilityCheckChanged::full_name(),
        occurred_at: Some(prost_types::Timestamp { seconds: Timestamp::UNIX_EPOCH.as_second(), nanos: 0 }),
        channel: format!("/members/m-1/eligibility/ec-{seed}"),
        ..Header::default()
    };
    let position = Position { epoch: Epoch(1), partition: 0, seq: u64::from(seed) };
    let payload = Sealed(changed.encode_to_vec().into());
    Arc::new(OpenedEvent {
        tenant: "acme".parse().expect("a tenant"),
        channel: header.channel.parse().expect("a channel"),
        patient: "m-1".parse().ok(),
        payload: Payload::EligibilityCheckChanged(Box::new(changed)),
        recorded: Arc::new(RecordedEvent { position, version: 1, header, payload }),
    })
}

fn mask() -> impl Strategy<Value = Mask> {
    (1u8..16, 0u8..32).prop_map(|(visibilities, sensitivities)| Mask {
        visibilities: Visibilities::from_bits(visibilities),
        sensitivities: Sensitivities::from_bits(sensitivities),
    })
}

/// Other masks with the same view.
fn alike(demand: &sluice_schema::access::Demand, mask: Mask) -> impl Iterator<Item = Mask> {
    let masks =
        (0u8..16).flat_map(|visibilities| (0u8..32).step_by(5).map(move |sensitivities| (visibilities, sensitivities)));
    masks
        .map(|(visibilities, sensitivities)| Mask {
            visibilities: Visibilities::from_bits(visibilities),
            sensitivities: Sensitivities::from_bits(sensitivities),
        })
        .filter(move |other| demand.view(*other) == demand.view(mask))
        .take(4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_shared_renderer_gives_the_bytes_of_a_fresh_execution(
        rounds in proptest::collection::vec((any::<u8>(), mask()), 1..12),
        all_events: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let projection = projection(if all_events { EVENTS } else { CHECK }).await;
            let mut shared = projection.renderer();
            for (seed, mask) in rounds {
                let Some(seen) = Seen::by(&event(seed), mask) else { continue };
                let together = shared.render(&seen, "cursor").await.expect("renders");
                let alone = projection.renderer().render(&seen, "cursor").await.expect("renders");
                prop_assert_eq!(&together, &alone);
                let demand = projection.demand(seen.payload.table());
                let within = mask.within(demand.mask());
                let asked = Seen::by(&event(seed), within).expect("whether it is seen is part of the demand");
                let asked = projection.renderer().render(&asked, "cursor").await.expect("renders");
                prop_assert_eq!(&together, &asked, "nothing but the demand matters");
                for other in alike(demand, mask) {
                    let other = Seen::by(&event(seed), other).expect("the view is the same");
                    let other = projection.renderer().render(&other, "cursor").await.expect("renders");
                    prop_assert_eq!(&together, &other, "whoever has the same view sees the same");
                }
                let text = String::from_utf8_lossy(&together).into_owned();
                let card = sluice_schema::access::table("sluice.eligibility.v1.Subscriber").and_then(|t| t.field("member_id"));
                prop_assert!(mask.sees(card.expect("is annotated").label) || !text.contains("RC1"), "{text}");
            }
            Ok(())
        })?;
    }
}

/// Found by the guard: whoever left a variable out shared a rendering with one who gave its default, and saw other fields.
#[tokio::test]
async fn a_variable_that_is_left_out_has_its_default_also_in_directives() {
    let query = "subscription S($all: Boolean! = true) { memberEligibility(memberId: \"m-1\") {
        id @skip(if: $all) payerId @include(if: $all) ...C @include(if: $all) } } fragment C on EligibilityCheck { state }";
    let render = async |variables: Value| {
        let variables = variables.as_object().cloned().expect("an object");
        let raw = RawRequest { query: query.into(), variables, ..RawRequest::default() };
        let operation = Operation::parse(raw, &Limits::default()).expect("parses");
        let (projection, _) = GraphqlProjection::validate(builder().finish(), operation).await.expect("is valid");
        let seen = Seen::by(&event(1), Mask::EVERYTHING).expect("is seen");
        projection.renderer().render(&seen, "cursor").await.expect("renders")
    };
    let given = render(serde_json::json!({ "all": true })).await;
    assert!(String::from_utf8_lossy(&given).contains(r#"{"payerId":"60054","state":"#), "{given:?}");
    assert_eq!(render(serde_json::json!({})).await, given);
    assert_ne!(render(serde_json::json!({ "all": false })).await, given);
}

/// Found by the guard: another system may publish a change without the state after it, and a renderer would wait for ever.
#[tokio::test]
async fn a_change_without_a_state_after_it_is_nothing_to_who_watches_checks() {
    let changed =
        |after| Payload::EligibilityCheckChanged(Box::new(pb::EligibilityCheckChanged { after, ..Default::default() }));
    let (check, events) = (projection(CHECK).await, projection(EVENTS).await);
    assert!(!check.finds(&changed(None)) && events.finds(&changed(None)));
    assert!(check.finds(&changed(Some(pb::EligibilityCheck::default()))));
}

#[tokio::test]
async fn an_invalid_subscription_is_refused_before_it_begins() {
    let operation = |query: &str| {
        let raw = RawRequest { query: query.into(), ..RawRequest::default() };
        Operation::parse(raw, &Limits::default()).expect("parses")
    };
    for invalid in [
        "subscription { nothing }",
        "subscription { events(channel: \"no\") { id } }",
        "subscription { events { id } }",
    ] {
        let refused = GraphqlProjection::validate(builder().finish(), operation(invalid)).await;
        assert!(!refused.err().expect(invalid).errors.is_empty(), "{invalid}");
    }
}
