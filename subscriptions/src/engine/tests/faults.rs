//! Fail closed: what can't be decided or audited is held, and comes later, once.

use sluice_schema::error::Code;

use super::bench::*;
use crate::{audit::memory::Mood, engine::Start};

#[tokio::test(start_paused = true)]
async fn nothing_leaves_while_the_audit_trail_is_stalled() {
    let bench = Bench::new().await;
    let probe = Probe::new();
    let _a = bench.subscribe(viewer("member"), "/**", Start::Live, &probe).await;
    bench.publish("acme", "m-1", 0, "ec-1");
    probe.count(1).await;
    bench.audit.set(Mood::Stalled);
    bench.publish("acme", "m-1", 0, "ec-2");
    // One append began the subscription and one let ec-1 out; two more means that ec-2's was tried again.
    bounded(bench.audit.asked(4), || "a second try".into()).await;
    assert_eq!(ids(&probe.now()), ["ec-1"]);
    bench.audit.set(Mood::Sound);
    assert_eq!(ids(&probe.count(2).await), ["ec-1", "ec-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_audit_trail_holds_and_loses_nothing() {
    let bench = Bench::new().await;
    let probe = Probe::new();
    let _a = bench.subscribe(viewer("member"), "/**", Start::Live, &probe).await;
    bench.audit.set(Mood::Failing);
    for i in 1..=10 {
        bench.publish("acme", "m-1", i % PARTITIONS, &format!("ec-{i}"));
    }
    bounded(bench.audit.asked(4), || "a second try".into()).await;
    assert!(probe.now().is_empty());
    bench.audit.set(Mood::Sound);
    let mut got = ids(&probe.count(10).await);
    bench.publish("acme", "m-1", 0, "ec-11");
    probe.count(11).await;
    got.sort();
    got.dedup();
    assert_eq!(got.len(), 10, "each once");
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_about_permission_there_is_no_data_and_later_all_of_it() {
    let bench = Bench::new().await;
    let [probe, other] = [Probe::new(), Probe::new()];
    let _a = bench.subscribe(viewer("member"), "/**", Start::Live, &probe).await;
    bench.relationships.fail();
    bench.publish("acme", "m-1", 0, "ec-1");
    bench.publish("acme", "m-1", 1, "ec-2");
    // Somebody who begins meanwhile is held as well.
    let _b = bench.subscribe(viewer("member"), "/**", Start::After(bench.engine.cursor(vec_of(0))), &other).await;
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert!(probe.now().is_empty() && other.now().is_empty());
    bench.relationships.recover();
    for probe in [probe, other] {
        let mut got = ids(&probe.count(2).await);
        got.sort();
        assert_eq!(got, ["ec-1", "ec-2"]);
    }
}

fn vec_of(seq: u64) -> sluice_schema::position::ReadVector {
    sluice_schema::position::ReadVector(vec![seq; PARTITIONS.into()])
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_cant_be_audited_does_not_begin() {
    let bench = Bench::new().await;
    bench.audit.set(Mood::Failing);
    let refused = bench.try_subscribe(viewer("member"), "/**", Start::Live, &Probe::new()).await;
    assert_eq!(refused.err().expect("refused").code, Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn the_last_step_before_it_is_live_is_audited_like_any_other() {
    let bench = Bench::new().await;
    bench.publish("acme", "m-1", 0, "ec-1");
    settle().await;
    // Its beginning is recorded; ec-1 waits for the trail, so that ec-2 is routed meanwhile; what attaches it fails.
    bench.audit.script([Mood::Sound, Mood::Stalled, Mood::Failing]);
    let probe = Probe::new();
    let _a = bench.subscribe(viewer("member"), "/**", Start::After(bench.engine.cursor(vec_of(0))), &probe).await;
    settle().await;
    bench.publish("acme", "m-1", 0, "ec-2");
    settle().await;
    bench.audit.set(Mood::Sound);
    assert_eq!(ids(&probe.count(2).await), ["ec-1", "ec-2"]);
    bench.publish("acme", "m-1", 0, "ec-3");
    assert_eq!(ids(&probe.count(3).await), ["ec-1", "ec-2", "ec-3"]);
}
