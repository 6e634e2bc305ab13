//! A subscription to a member ends when she is not for the viewer any more.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use sluice_schema::{access::table, error::Code, position::ReadVector};

use super::bench::*;
use crate::{
    audit::memory::Mood,
    engine::{Handle, Root, Start, Subscribe, revoke, subscription::Live},
    relationships::{ObjectRef, Relationship, Relationships, SubjectRef, Update},
};

/// Subscribed to member m-1, as its root.
pub(super) async fn watch(bench: &Bench, name: &str, probe: &Arc<Probe>) -> Handle {
    let label = table("sluice.eligibility.v1.EligibilityCheck").expect("is annotated").label;
    let root = Root { member: "m-1".parse().expect("an id"), label, since: bench.parts.access.told() };
    let subscribe = subscribe(viewer(name), "/members/m-1/**", Start::Live, probe.clone());
    let begun = bench.engine.subscribe(Subscribe { root: Some(root), ..subscribe }).await;
    begun.expect("begins")
}

/// In tenant `acme`.
pub(super) fn nurse_in_team() -> Relationship {
    let tenant = "acme".parse().expect("a tenant");
    let subject = SubjectRef { object: ObjectRef::new("user", &tenant, "nurse"), relation: None };
    Relationship {
        resource: ObjectRef::new("care_team", &tenant, "t-1"),
        relation: "member".into(),
        subject,
        expires: None,
    }
}

#[tokio::test(start_paused = true)]
async fn without_any_event_it_ends_with_a_reason_and_others_go_on() {
    let bench = Bench::keeping().await;
    let [nurse, member] = [Probe::new(), Probe::new()];
    let (one, other) = (watch(&bench, "nurse", &nurse).await, watch(&bench, "member", &member).await);
    one.caught_up().await;
    other.caught_up().await;
    bench.relationships.write(vec![Update::Delete(nurse_in_team())]).await.expect("is written");
    assert_eq!(nurse.end().await.expect("an error").code, Code::PermissionRevoked);
    bench.publish("acme", "m-1", 0, "ec-1");
    member.count(1).await;
    assert!(nurse.now().is_empty());
}

/// However long its record takes; and who takes something away is answered behind that.
#[tokio::test(start_paused = true)]
async fn what_was_decided_before_a_change_is_not_shown_after_it() {
    let bench = Bench::keeping().await;
    let [nurse, member] = [Probe::new(), Probe::new()];
    let (one, other) = (watch(&bench, "nurse", &nurse).await, watch(&bench, "member", &member).await);
    one.caught_up().await;
    other.caught_up().await;
    bench.audit.set(Mood::Stalled);
    bench.publish("acme", "m-1", 0, "ec-1");
    // That they began, and ec-1: it is decided, and waits for its record.
    bounded(bench.audit.asked(3), || "a record".into()).await;
    bench.relationships.write(vec![Update::Delete(nurse_in_team())]).await.expect("is written");
    bench.publish("acme", "m-1", 0, "ec-2");
    let handed_over = bench.engine.handed_over();
    tokio::pin!(handed_over);
    let early = tokio::time::timeout(Duration::from_millis(10), handed_over.as_mut()).await;
    early.expect_err("ec-1 is on its way");
    bench.audit.set(Mood::Sound);
    handed_over.await;
    assert_eq!(nurse.end().await.expect("an error").code, Code::PermissionRevoked);
    assert!(nurse.now().is_empty());
    assert_eq!(ids(&member.count(2).await), ["ec-1", "ec-2"], "it was hers before and after");
}

/// What may be shown by another change is shown, once.
#[tokio::test(start_paused = true)]
async fn what_a_change_overtook_is_decided_anew() {
    let bench = Bench::keeping().await;
    let nurse = Probe::new();
    let handle = watch(&bench, "nurse", &nurse).await;
    handle.caught_up().await;
    bench.audit.script([Mood::Stalled]);
    bench.publish("acme", "m-1", 0, "ec-1");
    bounded(bench.audit.asked(2), || "a record".into()).await;
    bench.relationships.write(vec![Update::Touch(nurse_in_team())]).await.expect("is written");
    bench.audit.set(Mood::Sound);
    bench.publish("acme", "m-1", 0, "ec-2");
    assert_eq!(ids(&nurse.count(2).await), ["ec-1", "ec-2"]);
    settle().await;
    assert_eq!(nurse.now().len(), 2);
}

/// A poll has gathered what was decided before, and its shard is busy with something else as it is to end.
#[tokio::test(start_paused = true)]
async fn what_a_poll_gathered_before_a_change_is_not_its_answer() {
    let bench = Bench::keeping().await;
    let start = bench.engine.cursor(bench.engine.place());
    bench.publish("acme", "m-1", 0, "ec-1");
    let member = Probe::new();
    let handle = watch(&bench, "member", &member).await;
    handle.caught_up().await;
    let make = |to| subscribe(viewer("nurse"), "/members/m-1/**", Start::After(start.clone()), to);
    let poll = bench.engine.poll(Duration::from_secs(1), make);
    tokio::pin!(poll);
    // The member's beginning; the poll's, and ec-1 to it. Then her ec-2 holds the shard up.
    bench.audit.script([Mood::Sound, Mood::Sound, Mood::Stalled]);
    let busy = async {
        bounded(bench.audit.asked(3), || "ec-1".into()).await;
        bench.publish("acme", "m-1", 0, "ec-2");
        bounded(bench.audit.asked(4), || "ec-2".into()).await;
    };
    tokio::select! {
        biased;
        () = busy => {}
        answer = poll.as_mut() => panic!("it is answered: {answer:?}"),
    }
    bench.relationships.write(vec![Update::Delete(nurse_in_team())]).await.expect("is written");
    bench.audit.set(Mood::Sound);
    let answer = poll.await.expect("an answer");
    assert!(answer.events.is_empty(), "{answer:?}");
}

/// A client that does not read has events waiting that were decided before; who takes something away waits for these to be
/// gone.
#[tokio::test(start_paused = true)]
async fn what_waits_for_those_whom_a_change_touches_is_recalled() {
    let bench = Bench::keeping().await;
    let [nurse, anywhere, member] = [Probe::new(), Probe::new(), Probe::new()];
    let watching = watch(&bench, "nurse", &nurse).await;
    let everything = bench.subscribe(viewer("nurse"), "/**", Start::Live, &anywhere).await;
    let other = watch(&bench, "member", &member).await;
    for handle in [&watching, &everything, &other] {
        handle.caught_up().await;
    }
    let recalled = || [&nurse, &anywhere, &member].map(|probe| probe.times_recalled());
    let guardian = Relationship {
        resource: ObjectRef::new("member", &"acme".parse().expect("a tenant"), "m-2"),
        relation: "guardian".into(),
        ..nurse_in_team()
    };
    bench.relationships.write(vec![Update::Touch(guardian)]).await.expect("is written");
    bench.engine.handed_over().await;
    assert_eq!(recalled(), [0, 1, 0], "what is about another member may be among everything");
    anywhere.is_unread(true);
    bench.relationships.write(vec![Update::Delete(nurse_in_team())]).await.expect("is written");
    let handed_over = bench.engine.handed_over();
    tokio::pin!(handed_over);
    let early = tokio::time::timeout(Duration::from_millis(10), handed_over.as_mut()).await;
    early.expect_err("it has yet to leave");
    assert_eq!((nurse.times_recalled(), anywhere.times_recalled()), (1, 2));
    anywhere.is_unread(false);
    handed_over.await;
}

/// The same for one that catches up by itself; those that begin later are not waited for.
#[tokio::test(start_paused = true)]
async fn what_is_caught_up_with_can_be_waited_for_too() {
    let bench = Bench::keeping().await;
    let [nurse, member] = [Probe::new(), Probe::new()];
    let start = bench.engine.cursor(bench.engine.place());
    let _member = bench.subscribe(viewer("member"), "/members/m-1/**", Start::Live, &member).await;
    bench.publish("acme", "m-1", 0, "ec-1");
    member.count(1).await;
    // That the nurse begins; what she is behind by waits for its record.
    bench.audit.script([Mood::Sound, Mood::Stalled]);
    let _nurse = bench.subscribe(viewer("nurse"), "/members/m-1/**", Start::After(start), &nurse).await;
    bounded(bench.audit.asked(4), || "a record".into()).await;
    let handed_over = bench.engine.handed_over();
    tokio::pin!(handed_over);
    let early = tokio::time::timeout(Duration::from_millis(10), handed_over.as_mut()).await;
    early.expect_err("ec-1 is on its way to the nurse");
    bench.audit.set(Mood::Sound);
    handed_over.await;
    assert_eq!(ids(&nurse.now()), ["ec-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_takes_nothing_away_ends_nothing() {
    let bench = Bench::keeping().await;
    let nurse = Probe::new();
    let handle = watch(&bench, "nurse", &nurse).await;
    handle.caught_up().await;
    bench.relationships.write(vec![Update::Touch(nurse_in_team())]).await.expect("is written");
    bench.publish("acme", "m-1", 0, "ec-1");
    nurse.count(1).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_away_while_it_began_ends_it_as_it_is_attached() {
    let bench = Bench::keeping().await;
    let nurse = Probe::new();
    let label = table("sluice.eligibility.v1.EligibilityCheck").expect("is annotated").label;
    let since = bench.parts.access.told();
    bench.relationships.write(vec![Update::Delete(nurse_in_team())]).await.expect("is written");
    let root = Root { member: "m-1".parse().expect("an id"), label, since };
    let subscribe = subscribe(viewer("nurse"), "/members/m-1/**", Start::Live, nurse.clone());
    let _handle = bench.engine.subscribe(Subscribe { root: Some(root), ..subscribe }).await.expect("begins");
    assert_eq!(nurse.end().await.expect("an error").code, Code::PermissionRevoked);
}

/// What could be decided is heeded, whatever becomes of the rest.
#[tokio::test]
async fn what_was_decided_until_relationships_went_away_is_told() {
    let bench = Bench::new().await;
    let label = table("sluice.eligibility.v1.EligibilityCheck").expect("is annotated").label;
    let lives = (0..revoke::TOGETHER + 1).map(|number| {
        let root = Root { member: "m-1".parse().expect("an id"), label, since: bench.parts.access.told() };
        let name = format!("stranger-{number}");
        let subscribe = subscribe(viewer(&name), "/members/m-1/**", Start::Live, Probe::new());
        let subscribe = Subscribe { root: Some(root), ..subscribe };
        Arc::new(Live::new(number as u64, subscribe, ReadVector::default(), None, None))
    });
    let lives: Vec<_> = lives.collect();
    // Each of so many is asked about as the member, and then as family.
    bench.relationships.fail_behind(2);
    let (decisions, all) = revoke::decide(&bench.parts.access, lives.clone()).await;
    assert!(all.is_err());
    let revoked: Vec<_> = decisions.revoked.iter().map(|live| live.id).collect();
    assert_eq!(revoked, (0..revoke::TOGETHER as u64).collect::<Vec<_>>());
    bench.relationships.recover();
    let (decisions, all) = revoke::decide(&bench.parts.access, lives.clone()).await;
    assert!(all.is_ok());
    assert_eq!(decisions.revoked.len(), lives.len());
}

/// In tenant `acme`, until an instant.
async fn nurse_until(bench: &Bench, until: Timestamp) {
    let covering = Relationship { expires: Some(until), ..nurse_in_team() };
    bench.relationships.write(vec![Update::Touch(covering)]).await.expect("is written");
}

// These three by the clock on the wall, which says when a relationship expires.

#[tokio::test]
async fn what_expires_ends_it_without_any_event() {
    let bench = Bench::keeping().await;
    let (nurse, until) = (Probe::new(), Timestamp::now() + SignedDuration::from_millis(200));
    nurse_until(&bench, until).await;
    let handle = watch(&bench, "nurse", &nurse).await;
    handle.caught_up().await;
    assert_eq!(nurse.end().await.expect("an error").code, Code::PermissionRevoked);
    assert!(Timestamp::now() >= until, "it was hers until then");
}

#[tokio::test]
async fn what_is_granted_for_longer_meanwhile_goes_on() {
    let bench = Bench::keeping().await;
    let (nurse, until) = (Probe::new(), Timestamp::now() + SignedDuration::from_millis(200));
    nurse_until(&bench, until).await;
    let handle = watch(&bench, "nurse", &nurse).await;
    handle.caught_up().await;
    nurse_until(&bench, until + SignedDuration::from_hours(1)).await;
    tokio::time::sleep(until.duration_since(Timestamp::now()).try_into().unwrap_or_default()).await;
    bench.publish("acme", "m-1", 0, "ec-1");
    nurse.count(1).await;
}

#[tokio::test]
async fn what_expired_while_it_was_recorded_is_not_shown() {
    let bench = Bench::keeping().await;
    let (nurse, until) = (Probe::new(), Timestamp::now() + SignedDuration::from_millis(200));
    nurse_until(&bench, until).await;
    let handle = watch(&bench, "nurse", &nurse).await;
    handle.caught_up().await;
    bench.audit.set(Mood::Stalled);
    bench.publish("acme", "m-1", 0, "ec-1");
    bounded(bench.audit.asked(2), || "a record".into()).await;
    tokio::time::sleep(until.duration_since(Timestamp::now()).try_into().unwrap_or_default()).await;
    bench.audit.set(Mood::Sound);
    assert_eq!(nurse.end().await.expect("an error").code, Code::PermissionRevoked);
    assert!(nurse.now().is_empty());
}
