//! Subscriptions spread over shards.

use sluice_schema::position::{Partition, ReadVector};

use super::bench::{Bench, PARTITIONS, Probe, bounded, ids, settle, viewer};
use crate::{audit::Action, engine::Start};

const SHARDS: usize = 3;
const EVENTS: usize = 20;

fn publish(bench: &Bench, number: usize) {
    let partition = Partition::try_from(number).expect("few") % PARTITIONS;
    bench.publish("acme", "m-1", partition, &format!("ec-{number}"));
}

#[tokio::test(start_paused = true)]
async fn each_subscriber_gets_every_event_once_whichever_shard_it_is_of() {
    let bench = Bench::sharded(SHARDS).await;
    let probes: Vec<_> = (0..3 * SHARDS).map(|_| Probe::new()).collect();
    let mut handles = Vec::new();
    for probe in &probes {
        handles.push(bench.subscribe(viewer("member"), "/**", Start::Live, probe).await);
    }
    settle().await;
    (0..EVENTS).for_each(|number| publish(&bench, number));
    let mut expected: Vec<_> = (0..EVENTS).map(|number| format!("ec-{number}")).collect();
    expected.sort();
    for probe in &probes {
        let mut got = ids(&probe.count(EVENTS).await);
        got.sort();
        assert_eq!(got, expected);
    }
    let told = |action: &Action| match action {
        Action::Deliver { audience, .. } => audience.recipients().len(),
        _ => 0,
    };
    let recipients: usize = bench.audit.records().iter().map(|record| told(&record.action)).sum();
    assert_eq!(recipients, probes.len() * EVENTS, "each delivery is on record once");
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_one_shard_goes_on_in_another() {
    let bench = Bench::sharded(SHARDS).await;
    let first = Probe::new();
    let handle = bench.subscribe(viewer("member"), "/**", Start::Live, &first).await;
    settle().await;
    (0..EVENTS).for_each(|number| publish(&bench, number));
    let events = first.count(EVENTS).await;
    drop(handle);
    for at in [0, 7, EVENTS - 1] {
        let cursor = super::bench::cursor(&events[at]);
        for _ in 0..SHARDS {
            let probe = Probe::new();
            let _handle = bench.subscribe(viewer("member"), "/**", Start::After(cursor.clone()), &probe).await;
            let mut all = ids(&probe.count(EVENTS - at - 1).await);
            all.extend(ids(&events[..=at]));
            all.sort();
            let mut expected = ids(&events);
            expected.sort();
            assert_eq!(all, expected, "nothing is missing, and nothing comes twice");
        }
    }
}

/// What a ping tells is true for every subscription, so that it is where the slowest shard is.
#[tokio::test(start_paused = true)]
async fn progress_is_that_of_the_last() {
    let bench = Bench::sharded(SHARDS).await;
    let engine = &bench.engine;
    engine.shared.shards[1].progress.send_replace(ReadVector(vec![5, 1, 9, 9]));
    engine.shared.shards[2].progress.send_replace(ReadVector(vec![4, 3, 9, 9]));
    assert_eq!(engine.place(), ReadVector(vec![0; 4]));
    engine.shared.shards[0].progress.send_replace(ReadVector(vec![6, 2, 0, 9]));
    assert_eq!(engine.place(), ReadVector(vec![4, 1, 0, 9]));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_settled_is_behind_all_shards() {
    let bench = Bench::sharded(SHARDS).await;
    (0..EVENTS).for_each(|number| publish(&bench, number));
    let engine = bench.engine.clone();
    let heads = crate::log::EventLog::heads(bench.log.as_ref()).borrow().clone();
    let settled = engine.settled(std::time::Duration::from_secs(5)).await;
    assert_eq!(settled, heads);
    for shard in &engine.shared.shards {
        let mut progress = shard.progress.subscribe();
        bounded(progress.wait_for(|progress| progress.covers(&heads)), || "a shard".into()).await;
    }
}
