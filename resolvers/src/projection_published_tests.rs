//! What another system published comes out by every renderer with its labels applied.

use prost::{Message, Name};
use sluice_domain::{
    keyring::Keyring,
    publish::{Cause, member_key},
    publishing::{Incoming, Publisher},
    twins::{MemoryKeyring, MemoryStore},
};
use sluice_schema::{
    ids::TenantId,
    proto::{
        coverage::{CoverageChanged, CoverageStatus},
        header::{RoutingKey, Subject},
        privacy::Visibility,
    },
    sealed::DataKey,
};
use sluice_subscriptions::{
    opened::{KeysUnavailable, PayloadKeys},
    render::JsonProjection,
};

use super::*;

const COVERAGE: &str =
    "subscription { events(channel: \"/members/m-1/**\") { type channel subject { type id } payload {
    ... on CoverageChanged { coverageId memberId status planName effectiveDate reasonCode reason } } } }";

/// As the enrollment system's event is after it was published: sealed, with a header, and opened again.
async fn coverage_changed() -> Arc<OpenedEvent> {
    let (store, keyring) = (Arc::new(MemoryStore::default()), Arc::new(MemoryKeyring::default()));
    let changed = CoverageChanged {
        coverage_id: "cov-1".into(),
        member_id: "m-1".into(),
        status: CoverageStatus::Terminated.into(),
        plan_name: Some("Harbor PPO".into()),
        effective_date: Some("2026-01-01".into()),
        termination_date: Some("2026-12-31".into()),
        reason_code: Some("59".into()),
        reason: Some("Non-payment".into()),
    };
    let member = member_key(&"m-1".parse().expect("a member"));
    let incoming = Incoming {
        source: "//enrollment.example".into(),
        id: "e-1".into(),
        tenant: "acme".parse().expect("a tenant"),
        type_name: CoverageChanged::full_name(),
        subject: Subject { r#type: "Coverage".into(), id: "cov-1".into() },
        routing_key: member.clone(),
        channel: "/members/m-1/coverage/cov-1".parse().expect("a channel"),
        occurred_at: None,
        cause: Cause::default(),
        payload: changed.encode_to_vec(),
    };
    let published = Publisher::new(store.clone(), keyring.clone()).publish(&[incoming]).await;
    assert!(published[0].is_ok(), "{published:?}");
    let key = keyring.get(&"acme".parse().expect("a tenant"), &member).await.expect("is there").expect("a key");
    OpenedEvent::open(&OneKey(key), &store.events()[0]).await.expect("opens").expect("is known")
}

struct OneKey(DataKey);

#[async_trait]
impl PayloadKeys for OneKey {
    async fn key(&self, _: &TenantId, _: &RoutingKey) -> Result<Option<DataKey>, KeysUnavailable> {
        Ok(Some(self.0.clone()))
    }
}

fn redacted(paths: &Value) -> Vec<&str> {
    let paths = paths.as_array().into_iter().flatten();
    paths.map(|path| path.as_array().and_then(|path| path.last()?.as_str()).expect("a path")).collect()
}

/// The member sees all, the family not why, the care team neither why nor when; a stranger sees no event at all.
#[tokio::test]
async fn what_another_system_published_is_shown_by_its_labels() {
    let event = coverage_changed().await;
    let projection = projection(COVERAGE).await;
    let all = [("effectiveDate", "2026-01-01"), ("reasonCode", "59"), ("reason", "Non-payment")];
    for (visibility, held) in [
        (Visibility::Member, &[][..]),
        (Visibility::FamilyCoverage, &["reason", "reasonCode"]),
        (Visibility::CareTeam, &["effectiveDate", "reason", "reasonCode"]),
    ] {
        let mask = Mask { visibilities: Visibilities::of(visibility), sensitivities: Sensitivities::NORMAL };
        let seen = Seen::by(&event, mask).expect("may be seen");
        let graphql = projection.renderer().render(&seen, "cursor").await.expect("renders");
        let graphql: Value = serde_json::from_slice(&graphql).expect("JSON");
        let json = JsonProjection.renderer().render(&seen, "cursor").await.expect("renders");
        let json: Value = serde_json::from_slice(&json).expect("JSON");

        let event = &graphql["data"]["events"];
        assert_eq!((&event["channel"], &event["subject"]["id"]), (&json["channel"], &json["subject"]["id"]));
        assert_eq!(
            (&event["payload"]["status"], &json["payload"]["status"]),
            (&"TERMINATED".into(), &"COVERAGE_STATUS_TERMINATED".into())
        );
        for (field, value) in all {
            let expected = if held.contains(&field) { Value::Null } else { value.into() };
            assert_eq!(event["payload"][field], expected, "{visibility:?} {field}");
            assert_eq!(json["payload"][field], expected, "{visibility:?} {field}");
        }
        assert_eq!(redacted(&graphql["extensions"]["redacted"]), held, "{visibility:?}");
        let told = redacted(&json["redacted"]);
        assert!(held.iter().all(|field| told.contains(field)), "{visibility:?} {told:?}");
        assert_eq!(told.contains(&"terminationDate"), visibility == Visibility::CareTeam);
        assert!(!told.contains(&"planName") && !graphql.to_string().contains("2026-12-31"));
    }
    assert!(Seen::by(&event, Mask::NOTHING).is_none());
}
