//! Who gets what, and what is recorded of it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use sluice_schema::{
    access::{Demand, Mask, MessageTable, table},
    error::Code,
    position::ReadVector,
};

use super::bench::*;
use crate::{
    access::Question,
    audit::Action,
    engine::{Handle, Start, Subscribe},
    opened::OpenedEvent,
    render::{JsonProjection, Projection, Renderer, Seen},
};

#[tokio::test(start_paused = true)]
async fn each_gets_what_she_may_see_and_a_stranger_nothing() {
    let bench = Bench::new().await;
    let [member, nurse, stranger] = [Probe::new(), Probe::new(), Probe::new()];
    let _a = bench.subscribe(viewer("member"), "/members/m-1/**", Start::Live, &member).await;
    let _b = bench.subscribe(viewer("nurse"), "/members/*/eligibility/*", Start::Live, &nurse).await;
    let _c = bench.subscribe(viewer("stranger"), "/**", Start::Live, &stranger).await;
    bench.publish("acme", "m-1", 0, "ec-1");

    let to_member = &member.count(1).await[0];
    assert_eq!(to_member["payload"]["after"]["coverage"]["groupNumber"], "GROUP-SECRET");
    let to_nurse = &nurse.count(1).await[0];
    assert_eq!(to_nurse["payload"]["after"]["coverage"]["active"], true);
    assert_eq!(to_nurse["payload"]["after"]["coverage"].get("groupNumber"), None);
    let redacted = to_nurse["redacted"].as_array().expect("paths");
    assert!(redacted.contains(&serde_json::json!(["payload", "after", "coverage", "groupNumber"])), "{redacted:?}");

    // The next event is the stranger's own business no more than this one was.
    bench.publish("acme", "m-1", 0, "ec-2");
    member.count(2).await;
    assert_eq!(stranger.now(), Vec::<serde_json::Value>::new());
}

#[tokio::test(start_paused = true)]
async fn tenants_with_equal_ids_never_meet() {
    let bench = Bench::new().await;
    let [acme, other] = [Probe::new(), Probe::new()];
    let _a = bench.subscribe(viewer("member"), "/**", Start::Live, &acme).await;
    let _b = bench.subscribe(viewer_of("other", "member"), "/**", Start::Live, &other).await;
    bench.publish("other", "m-1", 0, "ec-1");
    bench.publish("acme", "m-1", 0, "ec-2");
    assert_eq!(ids(&acme.count(1).await), ["ec-2"]);
    assert_eq!(ids(&other.count(1).await), ["ec-1"]);
}

async fn two_members_and_a_nurse(bench: &Bench) -> ([Arc<Probe>; 3], [Handle; 3]) {
    let [one, two, nurse] = [Probe::new(), Probe::new(), Probe::new()];
    let handles = [
        bench.subscribe(viewer("member"), "/members/m-1/**", Start::Live, &one).await,
        bench.subscribe(viewer("member"), "/**", Start::Live, &two).await,
        bench.subscribe(viewer("nurse"), "/**", Start::Live, &nurse).await,
    ];
    settle().await;
    ([one, two, nurse], handles)
}

#[tokio::test(start_paused = true)]
async fn every_delivery_is_on_record_with_all_its_recipients() {
    let bench = Bench::new().await;
    let ([one, two, nurse], _handles) = two_members_and_a_nurse(&bench).await;
    bench.publish("acme", "m-1", 0, "ec-1");
    one.count(1).await;
    two.count(1).await;
    nurse.count(1).await;

    let mut recipients = Vec::new();
    for record in bench.audit.records() {
        if let Action::Deliver { event_id, patient, audience, .. } = record.action {
            assert_eq!(event_id, "acme-ec-1");
            assert_eq!(patient.expect("a patient").as_str(), "m-1");
            recipients
                .push(audience.recipients().iter().map(|recipient| recipient.user.to_string()).collect::<Vec<_>>());
        }
    }
    recipients.sort();
    assert_eq!(recipients, [vec!["member", "member"], vec!["nurse"]], "a record for each class");
}

#[tokio::test(start_paused = true)]
async fn those_who_see_the_same_share_the_bytes_and_the_bytes_are_those_of_a_fresh_rendering() {
    let bench = Bench::new().await;
    let ([one, two, nurse], _handles) = two_members_and_a_nurse(&bench).await;
    let position = bench.publish("acme", "m-1", 2, "ec-1");
    for probe in [&one, &two, &nurse] {
        probe.count(1).await;
    }
    assert_eq!(one.raw()[0].as_ptr(), two.raw()[0].as_ptr(), "one buffer");

    let recorded =
        Arc::new(crate::log::EventLog::read(bench.log.as_ref(), 2, 0, 1).await.expect("reads")[0].as_ref().clone());
    let opened = OpenedEvent::open(bench.parts.keys.as_ref(), &recorded).await.expect("opens").expect("is known");
    for (name, probe) in [("member", &one), ("member", &two), ("nurse", &nurse)] {
        let member = "m-1".parse().expect("a member");
        let viewer = viewer(name);
        let question = Question { viewer: &viewer, member: Some(&member), demand: Mask::EVERYTHING };
        let mask = bench.parts.access.decide(&[question]).await.expect("decides")[0].mask;
        let seen = Seen::by(&opened, mask).expect("may be seen");
        let vector = ReadVector(vec![0, 0, position.seq, 0]);
        let fresh = JsonProjection.renderer().render(&seen, &bench.engine.cursor(vector).to_string()).await;
        assert_eq!(probe.raw()[0], fresh.expect("renders"), "{name}");
    }
    assert!(Seen::by(&opened, Mask::NOTHING).is_none());
}

/// Shows nothing but which check it is, which is for everybody who may see the event.
struct Which(Demand);

impl Projection for Which {
    fn key(&self) -> &Arc<str> {
        static KEY: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| "which".into());
        &KEY
    }

    fn shows(&self, _event_type: &str) -> bool {
        true
    }

    fn demand(&self, _payload: &'static MessageTable) -> &Demand {
        &self.0
    }

    fn renderer(&self) -> Box<dyn Renderer> {
        JsonProjection.renderer()
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_see_different_things_but_has_selected_what_both_may_see_shares_the_bytes_and_the_record() {
    let bench = Bench::new().await;
    let [member, nurse] = [Probe::new(), Probe::new()];
    let demand = table("sluice.eligibility.v1.EligibilityCheckChanged").expect("is annotated").demand(&BTreeSet::new());
    let mut handles = Vec::new();
    for (name, probe) in [("member", &member), ("nurse", &nurse)] {
        let subscribe = subscribe(viewer(name), "/**", Start::Live, probe.clone());
        let handle =
            bench.engine.subscribe(Subscribe { projection: Arc::new(Which(demand.clone())), ..subscribe }).await;
        let handle = handle.expect("begins");
        handle.caught_up().await;
        handles.push(handle);
    }
    bench.publish("acme", "m-1", 0, "ec-1");
    member.count(1).await;
    nurse.count(1).await;
    assert_eq!(member.raw()[0].as_ptr(), nurse.raw()[0].as_ptr(), "one buffer");
    let mut deliveries = bench.audit.records().into_iter().filter_map(|record| match record.action {
        Action::Deliver { seen, audience, .. } => Some((seen, audience)),
        _ => None,
    });
    let (seen, audience) = deliveries.next().expect("is on record");
    assert!(deliveries.next().is_none() && audience.recipients().len() == 2);
    let other =
        audience.recipients().iter().find_map(|recipient| recipient.seen.as_ref()).expect("one was decided otherwise");
    assert_ne!(other.visibilities, seen.visibilities, "each has what was decided for her");
}

#[tokio::test(start_paused = true)]
async fn an_ended_token_gets_no_more() {
    let bench = Bench::new().await;
    let probe = Probe::new();
    let mut expiring = viewer("member");
    expiring.expires = (Timestamp::now() - Duration::from_secs(1)).into();
    let _a = bench.subscribe(expiring, "/members/m-1/**", Start::Live, &probe).await;
    bench.publish("acme", "m-1", 0, "ec-1");
    assert_eq!(probe.end().await.expect("an error").code, Code::Unauthenticated);
    assert!(probe.now().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_renewed_token_gets_more() {
    let bench = Bench::new().await;
    let probe = Probe::new();
    let mut expiring = viewer("member");
    expiring.expires = (Timestamp::now() - Duration::from_secs(1)).into();
    let expiry = expiring.expires.clone();
    let _a = bench.subscribe(expiring, "/members/m-1/**", Start::Live, &probe).await;
    expiry.renew(Timestamp::MAX);
    bench.publish("acme", "m-1", 0, "ec-1");
    probe.count(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_revoked_relationship_is_heeded_by_the_very_next_event() {
    revoke(Bench::new().await).await;
}

#[tokio::test(start_paused = true)]
async fn a_revoked_relationship_is_heeded_by_the_very_next_event_where_decisions_are_kept() {
    revoke(Bench::keeping().await).await;
}

async fn revoke(bench: Bench) {
    use crate::relationships::{ObjectRef, Relationship, Relationships, SubjectRef, Update};
    let [nurse, member] = [Probe::new(), Probe::new()];
    let _a = bench.subscribe(viewer("nurse"), "/**", Start::Live, &nurse).await;
    let _b = bench.subscribe(viewer("member"), "/**", Start::Live, &member).await;
    bench.publish("acme", "m-1", 0, "ec-1");
    nurse.count(1).await;
    let tenant = "acme".parse().expect("a tenant");
    let subject = SubjectRef { object: ObjectRef::new("user", &tenant, "nurse"), relation: None };
    let resource = ObjectRef::new("care_team", &tenant, "t-1");
    let leave = Update::Delete(Relationship { resource, relation: "member".into(), subject, expires: None });
    bench.relationships.write(vec![leave]).await.expect("is written");
    bench.publish("acme", "m-1", 0, "ec-2");
    member.count(2).await;
    assert_eq!(ids(&nurse.now()), ["ec-1"]);
}

#[tokio::test(start_paused = true)]
async fn where_decisions_are_kept_each_still_gets_what_she_may_see_at_a_revision_that_is_hers() {
    let bench = Bench::keeping().await;
    let ([one, two, nurse], _handles) = two_members_and_a_nurse(&bench).await;
    for event in ["ec-1", "ec-2", "ec-3"] {
        bench.publish("acme", "m-1", 0, event);
    }
    for probe in [&one, &two, &nurse] {
        probe.count(3).await;
    }
    assert!(one.now().iter().all(|event| event.to_string().contains("GROUP-SECRET")));
    assert!(!nurse.now().iter().any(|event| event.to_string().contains("GROUP-SECRET")), "not the care team's");
    let deliveries = bench.audit.records().into_iter().filter(|record| matches!(record.action, Action::Deliver { .. }));
    assert_eq!(deliveries.count(), 6, "a record for each event and class, as ever");
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_is_let_go_and_given_nothing_more() {
    let bench = Bench::new().await;
    let slow = Probe::lagging_after(2);
    let quick = Probe::new();
    let _a = bench.subscribe(viewer("member"), "/**", Start::Live, &slow).await;
    let _b = bench.subscribe(viewer("member"), "/**", Start::Live, &quick).await;
    for i in 1..=5 {
        bench.publish("acme", "m-1", 0, &format!("ec-{i}"));
    }
    slow.refused().await;
    bench.publish("acme", "m-1", 0, "ec-6");
    quick.count(6).await;
    assert_eq!((slow.now().len(), slow.times_refused()), (2, 1), "refused once, then left alone");
}
