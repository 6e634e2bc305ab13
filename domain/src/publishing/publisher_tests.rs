use std::sync::Arc;

use prost::Message;
use sluice_schema::proto::{
    coverage::{CoverageChanged, CoverageStatus},
    header::{Subject, routing_key::Kind},
};

use super::*;
use crate::{
    publish::{Cause, member_key, open},
    twins::{MemoryKeyring, MemoryStore},
};

struct Setup {
    store: Arc<MemoryStore>,
    keyring: Arc<MemoryKeyring>,
    publisher: Publisher,
}

fn setup() -> Setup {
    let (store, keyring) = (Arc::new(MemoryStore::default()), Arc::new(MemoryKeyring::default()));
    let publisher = Publisher::new(store.clone(), keyring.clone())
        .with_clock(Arc::new(|| "2026-11-24T08:30:00Z".parse().expect("time")));
    Setup { store, keyring, publisher }
}

fn changed(member: &str, plan: &str) -> CoverageChanged {
    CoverageChanged {
        coverage_id: "cov-1".into(),
        member_id: member.into(),
        status: CoverageStatus::Active.into(),
        plan_name: Some(plan.into()),
        ..Default::default()
    }
}

fn incoming(id: &str, member: &str, plan: &str) -> Incoming {
    Incoming {
        source: "//enrollment.example".into(),
        id: id.into(),
        tenant: "acme".parse().expect("id"),
        type_name: "sluice.coverage.v1.CoverageChanged".into(),
        subject: Subject { r#type: "Coverage".into(), id: "cov-1".into() },
        routing_key: member_key(&member.parse().expect("id")),
        channel: format!("/members/{member}/coverage/cov-1").parse().expect("channel"),
        occurred_at: None,
        cause: Cause::default(),
        payload: changed(member, plan).encode_to_vec(),
    }
}

fn refusal(event: Incoming) -> Refusal {
    event.check().expect_err("it breaks a rule")
}

#[tokio::test]
async fn an_event_is_there_once_however_often_it_comes() {
    let Setup { store, keyring, publisher } = setup();
    let event = incoming("e-1", "m-1", "Gold");
    let outcomes = publisher.publish(&[event.clone(), event.clone()]).await;
    assert!(matches!(outcomes[0], Ok(Published::Fresh { .. })) && outcomes[1] == Ok(Published::Repeated));
    assert_eq!(publisher.publish(std::slice::from_ref(&event)).await, [Ok(Published::Repeated)]);

    let [stored] = store.events().try_into().expect("one event");
    let header = &stored.header;
    assert_eq!((header.producer.as_str(), header.tenant.as_str()), ("//enrollment.example", "acme"));
    assert_eq!(header.occurred_at.expect("the clock's").seconds, 1_795_509_000);
    assert_eq!(header.correlation_id, header.event_id);
    let payload = open(keyring.as_ref(), &event.tenant, &stored).await.expect("opens").expect("there");
    assert_eq!(CoverageChanged::decode(payload), Ok(changed("m-1", "Gold")));
}

#[tokio::test]
async fn one_id_for_two_events_is_a_conflict() {
    let Setup { store, publisher, .. } = setup();
    let events = [incoming("e-1", "m-1", "Gold"), incoming("e-1", "m-1", "Silver"), incoming("e-2", "m-1", "Silver")];
    let outcomes = publisher.publish(&events).await;
    assert_eq!(outcomes[1], Err(PublishError::Conflict));
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    let elsewhere = Incoming { source: "//other.example".into(), ..events[1].clone() };
    assert!(publisher.publish(&[elsewhere]).await[0].is_ok(), "ids belong to their source");
    assert_eq!(store.events().len(), 3);
}

#[tokio::test]
async fn one_that_no_store_takes_is_told_so_and_holds_up_nobody() {
    let Setup { store, publisher, .. } = setup();
    store.limit_events(10_000);
    let outcomes =
        publisher.publish(&[incoming("e-1", "m-1", &"x".repeat(10_000)), incoming("e-2", "m-1", "Gold")]).await;
    assert!(matches!(outcomes[0], Err(PublishError::TooLarge { largest: 10_000, .. })), "{outcomes:?}");
    assert!(outcomes[1].is_ok() && store.events().len() == 1);
}

#[tokio::test]
async fn an_id_is_not_kept_in_the_clear() {
    let Setup { store, publisher, .. } = setup();
    publisher.publish(&[incoming("Jane Doe", "m-1", "Gold")]).await.remove(0).expect("published");
    assert!(!format!("{:?}", store.events()).contains("Jane"));
}

#[tokio::test]
async fn behind_one_that_waits_nobody_of_its_member_goes_ahead() {
    let Setup { store, publisher, .. } = setup();
    let mut waiting: Vec<_> =
        (0..12).map(|i| incoming(&format!("e-{i}"), ["m-1", "m-2", "m-3"][i % 3], &format!("plan {i}"))).collect();
    // Of the first wave, m-1 and m-2 fail and m-3 succeeds.
    store.break_appends(2);
    let outcomes = publisher.publish(&waiting).await;
    let held: Vec<_> = outcomes.iter().map(|o| matches!(o, Err(PublishError::Unavailable(_)))).collect();
    assert_eq!(held, [true, true, false].repeat(4));
    let mut kept = held.iter();
    waiting.retain(|_| *kept.next().expect("as many"));
    assert!(publisher.publish(&waiting).await.iter().all(Result::is_ok));
    assert_eq!(store.events().len(), 12, "nothing is skipped");
}

#[test]
fn nobody_outside_forges_what_an_aggregate_says() {
    let type_name = "sluice.eligibility.v1.EligibilityCheckAnswered".into();
    assert_eq!(refusal(Incoming { type_name, ..incoming("e-1", "m-1", "x") }), Refusal::Type);
    let type_name = "sluice.coverage.v1.NoSuchThing".into();
    assert_eq!(refusal(Incoming { type_name, ..incoming("e-1", "m-1", "x") }), Refusal::Type);
}

#[test]
fn channel_payload_and_routing_key_are_about_the_same_member() {
    let good = || incoming("e-1", "m-1", "x");
    let other = |kind: Kind, id: &str| RoutingKey { kind: kind.into(), id: id.into() };
    assert_eq!(refusal(Incoming { routing_key: other(Kind::Member, "m-2"), ..good() }), Refusal::Channel);
    assert_eq!(refusal(Incoming { routing_key: other(Kind::Team, "m-1"), ..good() }), Refusal::Channel);
    assert_eq!(refusal(Incoming { routing_key: other(Kind::Unspecified, "m-1"), ..good() }), Refusal::RoutingKey);
    assert_eq!(refusal(Incoming { channel: "/members".parse().expect("channel"), ..good() }), Refusal::Channel);
    let channel = || "/coverage/cov-1".parse().expect("channel");
    assert!(Incoming { channel: channel(), ..good() }.check().is_ok());
    let team = Incoming { channel: channel(), routing_key: other(Kind::Team, "t-1"), ..good() };
    assert_eq!(refusal(team), Refusal::Member);
    let payload = changed("m-2", "x").encode_to_vec();
    assert_eq!(refusal(Incoming { payload, ..good() }), Refusal::Member);
    let payload = changed("", "x").encode_to_vec();
    assert_eq!(refusal(Incoming { payload, ..good() }), Refusal::Member);
}

#[test]
fn what_is_malformed_is_refused() {
    let good = || incoming("e-1", "m-1", "x");
    assert_eq!(refusal(Incoming { payload: vec![0xff; 9], ..good() }), Refusal::Payload);
    assert_eq!(refusal(Incoming { source: "Jane Doe".into(), ..good() }), Refusal::Source);
    assert_eq!(refusal(Incoming { source: String::new(), ..good() }), Refusal::Source);
    assert_eq!(refusal(Incoming { id: String::new(), ..good() }), Refusal::Id);
    assert_eq!(refusal(Incoming { id: "x".repeat(1025), ..good() }), Refusal::Id);
    let subject = Subject { r#type: "Coverage".into(), id: "Jane Doe".into() };
    assert_eq!(refusal(Incoming { subject, ..good() }), Refusal::Subject);
}
