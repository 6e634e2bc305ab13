//! A cursor is a promise: nothing missing, nothing twice.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use sluice_schema::{
    error::Code,
    position::{Cursor, Epoch, ReadVector},
};

use super::bench::*;
use crate::{
    engine::Start,
    log::{EventLog, fed::Fed, hostile::Hostile},
};

fn start() -> ReadVector {
    ReadVector(vec![0; PARTITIONS.into()])
}

#[tokio::test(start_paused = true)]
async fn a_state_comes_first_and_what_it_holds_is_not_told_again() {
    let bench = Bench::new().await;
    bench.publish("acme", "m-1", 0, "ec-1");
    let from = start();
    bench.publish("acme", "m-1", 0, "ec-1");
    let state = bench.log.read(0, 1, 1).await.expect("reads").pop();
    bench.publish("acme", "m-1", 1, "ec-2");
    let probe = Probe::new();
    let _a = bench.subscribe(viewer("member"), "/**", Start::Snapshot { from: from.clone(), state }, &probe).await;
    let got = probe.count(2).await;
    assert_eq!(ids(&got), ["ec-1", "ec-2"]);
    assert_eq!(cursor(&got[0]), bench.engine.cursor(from), "the state's cursor was taken before it was read");
    bench.publish("acme", "m-1", 0, "ec-1");
    assert_eq!(ids(&probe.count(3).await), ["ec-1", "ec-2", "ec-1"], "later changes are told");
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_cant_be_honoured_is_a_typed_gap() {
    let bench = Bench::new().await;
    for i in 0..3 {
        bench.publish("acme", "m-1", 0, &format!("ec-{i}"));
    }
    settle().await;
    bench.log.forget(0, 2);
    let refused = |cursor: Cursor| {
        let bench = &bench;
        async move {
            bench
                .try_subscribe(viewer("member"), "/**", Start::After(cursor), &Probe::new())
                .await
                .err()
                .expect("refused")
        }
    };
    let behind = refused(bench.engine.cursor(ReadVector(vec![1, 0, 0, 0]))).await;
    assert_eq!((behind.code, &behind.details["reason"]), (Code::CursorExpired, &"RETENTION".into()));
    let earliest: Cursor = behind.details["earliest"].as_str().expect("a text").parse().expect("a cursor");
    let probe = Probe::new();
    let _a = bench.subscribe(viewer("member"), "/**", Start::After(earliest), &probe).await;
    assert_eq!(ids(&probe.count(1).await), ["ec-2"], "the earliest cursor works");

    let foreign = refused(Cursor { epoch: Epoch(8), vector: ReadVector(vec![3, 0, 0, 0]) }).await;
    assert_eq!((foreign.code, &foreign.details["reason"]), (Code::CursorExpired, &"EPOCH".into()));
    let ahead = refused(bench.engine.cursor(ReadVector(vec![9, 0, 0, 0]))).await;
    assert_eq!((ahead.code, &ahead.details["reason"]), (Code::CursorExpired, &"AHEAD".into()));
    let other_shape = refused(bench.engine.cursor(ReadVector(vec![3]))).await;
    assert_eq!(other_shape.code, Code::MalformedCursor);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_ahead_of_a_log_that_is_fed_late_waits_and_is_told_nothing_twice() {
    let (gave, fed) = std::sync::mpsc::channel();
    let bench = Bench::over(move |whole| {
        let late = Arc::new(Fed::new(whole));
        gave.send(late.clone()).expect("somebody wants it");
        late
    })
    .await;
    let fed = fed.recv().expect("it was made");
    let place = bench.publish("acme", "m-1", 0, "ec-1");
    let mutation = bench.engine.cursor(ReadVector(vec![place.seq, 0, 0, 0]));
    let probe = Probe::new();
    let handle = bench.subscribe(viewer("member"), "/**", Start::After(mutation.clone()), &probe).await;
    bench.publish("acme", "m-1", 1, "ec-2");
    fed.feed(1, 1);
    assert_eq!(ids(&probe.count(1).await), ["ec-2"], "what comes in other partitions is told meanwhile");
    bench.publish("acme", "m-1", 0, "ec-3");
    fed.feed(0, 1);
    settle().await;
    fed.feed(0, 2);
    assert_eq!(ids(&probe.count(2).await), ["ec-2", "ec-3"], "what the cursor covers is not told again");
    assert_eq!(handle.finish().await, bench.engine.cursor(ReadVector(vec![2, 1, 0, 0])));

    let beyond = bench.engine.cursor(ReadVector(vec![3, 0, 0, 0]));
    let refused = bench.try_subscribe(viewer("member"), "/**", Start::After(beyond), &Probe::new()).await;
    assert_eq!(refused.err().expect("refused").details["reason"], "AHEAD");
}

#[tokio::test(start_paused = true)]
async fn a_place_settles_behind_what_was_acknowledged_or_after_a_while() {
    let (gave, fed) = std::sync::mpsc::channel();
    let bench = Bench::over(move |whole| {
        let late = Arc::new(Fed::new(whole));
        gave.send(late.clone()).expect("somebody wants it");
        late
    })
    .await;
    let fed = fed.recv().expect("it was made");
    bench.publish("acme", "m-1", 0, "ec-1");
    let waited = tokio::time::Instant::now();
    assert_eq!(bench.engine.settled(Duration::from_secs(1)).await, start(), "nothing comes");
    assert_eq!(waited.elapsed(), Duration::from_secs(1));
    let (place, ()) = tokio::join!(bench.engine.settled(Duration::from_secs(1)), async { fed.feed(0, 1) });
    assert_eq!(place, ReadVector(vec![1, 0, 0, 0]));
    assert_eq!(waited.elapsed(), Duration::from_secs(1), "it was there at once");
}

#[tokio::test(start_paused = true)]
async fn a_poll_answers_with_what_there_is_or_with_progress() {
    let bench = Bench::new().await;
    let poll = |start: Start| {
        bench.engine.poll(Duration::from_secs(20), move |to| subscribe(viewer("member"), "/**", start.clone(), to))
    };
    bench.publish("acme", "m-1", 0, "ec-1");
    bench.publish("acme", "m-1", 1, "ec-2");
    let first = poll(Start::After(bench.engine.cursor(start()))).await.expect("answers");
    assert_eq!(first.events.len(), 2);

    // Something that she may not see: an empty answer, but a place further on.
    bench.publish("other", "m-1", 2, "ec-3");
    let second = poll(Start::After(first.cursor.clone())).await.expect("answers");
    assert!(second.events.is_empty());
    assert_eq!(second.cursor, bench.engine.cursor(ReadVector(vec![1, 1, 1, 0])));

    bench.publish("acme", "m-1", 3, "ec-4");
    let third = poll(Start::After(second.cursor)).await.expect("answers");
    let event: serde_json::Value = serde_json::from_slice(&third.events[0]).expect("JSON");
    assert_eq!(ids(&[event]), ["ec-4"]);
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_does_not_wait_gets_what_is_there() {
    let bench = Bench::new().await;
    bench.publish("acme", "m-1", 0, "ec-1");
    settle().await;
    let poll = |start: Start| {
        bench.engine.poll(Duration::ZERO, move |to| subscribe(viewer("member"), "/**", start.clone(), to))
    };
    let first = poll(Start::After(bench.engine.cursor(start()))).await.expect("answers");
    assert_eq!(first.events.len(), 1);
    let second = poll(Start::After(first.cursor.clone())).await.expect("answers");
    assert_eq!((second.events.len(), second.cursor), (0, first.cursor));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_subscription_moves_on_with_the_log() {
    let bench = Bench::new().await;
    let [quiet, witness] = [Probe::new(), Probe::new()];
    let handle = bench.subscribe(viewer("member"), "/members/m-1/**", Start::Live, &quiet).await;
    let _w = bench.subscribe(viewer_of("other", "member"), "/**", Start::Live, &witness).await;
    bench.publish("other", "m-1", 2, "ec-1");
    witness.count(1).await;
    let place = handle.finish().await;
    assert_eq!(place, bench.engine.cursor(ReadVector(vec![0, 0, 1, 0])));
}

/// Who has just been asked for may be given something by the shard before it is known who has the subscription. It is the
/// shard, then, that says where it ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_ends_as_the_shard_takes_it_over_ends_behind_what_it_was_given() {
    let bench = Bench::new().await;
    for round in 0..1000_u64 {
        let probe = Probe::new();
        let handle = bench.subscribe(viewer("member"), "/**", Start::Live, &probe).await;
        bench.publish("acme", "m-1", 0, &format!("ec-{round}"));
        probe.count(1).await;
        let end = handle.finish().await;
        assert_eq!(end, bench.engine.cursor(ReadVector(vec![round + 1, 0, 0, 0])));
    }
}

/// What a schedule does next.
#[derive(Debug, Clone)]
enum Step {
    Publish {
        partition: u16,
        mine: bool,
    },
    /// The client loses its connection, and comes back with the cursor of what it got last.
    Reconnect,
    FailAudit,
    FailAccess,
    Recover,
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..PARTITIONS, any::<bool>()).prop_map(|(partition, mine)| Step::Publish { partition, mine }),
        2 => Just(Step::Reconnect),
        1 => Just(Step::FailAudit),
        1 => Just(Step::FailAccess),
        1 => Just(Step::Recover),
        1 => Just(Step::Settle),
    ]
}

/// One client through a schedule; what it got, in order, over all its connections.
async fn run(bench: Bench, steps: Vec<Step>) -> (Vec<String>, Vec<(u16, String)>) {
    use crate::audit::memory::Mood;
    let mut got = Vec::new();
    let mut published = Vec::new();
    let mut last = bench.engine.cursor(start());
    let mut probe = Probe::new();
    let mut handle = bench.subscribe(viewer("member"), "/members/m-1/**", Start::After(last.clone()), &probe).await;
    let mut number = 0;
    for step in steps {
        match step {
            Step::Publish { partition, mine } => {
                number += 1;
                let id = format!("ec-{number:04}");
                bench.publish(if mine { "acme" } else { "other" }, "m-1", partition, &id);
                published.extend(mine.then_some((partition, id)));
            }
            Step::Reconnect => {
                drop(handle);
                // What was handed over before the end counts; then the connection is gone.
                bench.audit.set(Mood::Sound);
                let seen = probe.now();
                last = seen.last().map(cursor).unwrap_or(last);
                got.extend(ids(&seen));
                probe = Probe::new();
                handle = bench.subscribe(viewer("member"), "/members/m-1/**", Start::After(last.clone()), &probe).await;
            }
            Step::FailAudit => bench.audit.set(Mood::Failing),
            Step::FailAccess => bench.relationships.fail(),
            Step::Recover => {
                bench.audit.set(Mood::Sound);
                bench.relationships.recover();
            }
            Step::Settle => tokio::time::sleep(Duration::from_millis(30)).await,
        }
    }
    bench.audit.set(Mood::Sound);
    bench.relationships.recover();
    let missing = published.len() - got.len();
    got.extend(ids(&probe.count(missing).await));
    // Nothing more may come.
    tokio::time::sleep(Duration::from_secs(10)).await;
    got.extend(ids(&probe.now()).into_iter().skip(missing));
    (got, published)
}

fn check(got: &[String], published: &[(u16, String)]) -> Result<(), TestCaseError> {
    let mut sorted = got.to_vec();
    sorted.sort();
    let all: Vec<_> = published.iter().map(|(_, id)| id.clone()).collect();
    prop_assert_eq!(&sorted, &all, "each once");
    for partition in 0..PARTITIONS {
        let within: Vec<_> = published.iter().filter(|(p, _)| *p == partition).map(|(_, id)| id).collect();
        let order: Vec<_> = got.iter().filter(|id| within.contains(id)).collect();
        prop_assert_eq!(order, within, "in partition order");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_event_comes_once_and_in_order(
        steps in proptest::collection::vec(step(), 1..80),
        hostility: Option<u64>,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let (got, published) = runtime.block_on(async {
            let bench = match hostility {
                // A log that repeats, stalls and answers short.
                Some(seed) => Bench::over(|log| Arc::new(Hostile::new(log, seed))).await,
                None => Bench::new().await,
            };
            run(bench, steps).await
        });
        check(&got, &published)?;
    }
}

#[tokio::test]
async fn a_subscription_catches_up_while_events_keep_coming() {
    let bench = Arc::new(Bench::new().await);
    const EVENTS: usize = 2000;
    for i in 0..EVENTS / 2 {
        bench.publish("acme", "m-1", (i % 4) as u16, &format!("ec-{i:04}"));
    }
    let probe = Probe::new();
    let _a = bench.subscribe(viewer("member"), "/**", Start::After(bench.engine.cursor(start())), &probe).await;
    for i in EVENTS / 2..EVENTS {
        bench.publish("acme", "m-1", (i % 4) as u16, &format!("ec-{i:04}"));
        if i % 16 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut got = ids(&probe.count(EVENTS).await);
    got.sort();
    let all: Vec<_> = (0..EVENTS).map(|i| format!("ec-{i:04}")).collect();
    assert_eq!(got, all);
}
