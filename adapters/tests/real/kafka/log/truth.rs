//! A log that is not the one that it was says so.

use std::{sync::Arc, time::Duration};

use sluice_adapters::kafka::{KafkaLog, LogOptions, OpenError};
use sluice_schema::position::{Epoch, ReadVector};
use sluice_subscriptions::log::{EventLog, LogError, memory::MemoryLog};
use tokio::time::timeout;

use super::{
    pipeline::{EPOCH, TINY, arrives, empty_source, open},
    topic::{PARTITIONS, Topic, event, events},
};

const PATIENCE: Duration = Duration::from_secs(60);

async fn failure(log: &KafkaLog) -> String {
    timeout(PATIENCE, log.failed()).await.expect("the log does not fail")
}

/// Ten events in each partition, some of them twice.
async fn filled() -> (Topic, Arc<KafkaLog>) {
    let topic = Topic::new().await;
    let log = open(&topic, empty_source(), LogOptions::default()).await;
    for partition in 0..PARTITIONS {
        topic.write_all(events(EPOCH, partition, (1..=10).chain(6..=10)).iter().map(Arc::as_ref)).await;
    }
    arrives(log.as_ref(), &ReadVector(vec![10; PARTITIONS.into()])).await;
    (topic, log)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_made_anew_is_noticed() {
    let (topic, log) = filled().await;
    topic.remove().await;
    topic.make_again().await;
    let why = failure(&log).await;
    assert!(why.contains("made anew"), "{why}");
    assert!(matches!(log.read(0, 3, 9).await, Err(LogError::Unavailable(_))));
    assert!(matches!(log.earliest().await, Err(LogError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_made_anew_and_filled_again_loses_nothing() {
    let (topic, log) = filled().await;
    topic.remove().await;
    topic.make_again().await;
    // Longer than before, so that the place to read on from is there; what is new begins before it.
    let longer: Vec<_> = (0..PARTITIONS).flat_map(|partition| events(EPOCH, partition, 1..=30)).collect();
    topic.write_all(longer.iter().map(Arc::as_ref)).await;
    let all = ReadVector(vec![30; PARTITIONS.into()]);
    let caught_up = arrives(log.as_ref(), &all);
    tokio::select! {
        why = failure(&log) => assert!(why.contains("made anew"), "{why}"),
        () = caught_up => {
            for partition in 0..PARTITIONS {
                let seqs: Vec<_> = log.read(partition, 10, 99).await.unwrap().iter().map(|e| e.position.seq).collect();
                assert_eq!(seqs, (11..=30).collect::<Vec<_>>(), "partition {partition}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_another_store_ends_it() {
    let (topic, log) = filled().await;
    topic.write(&event(Epoch(EPOCH.0 + 1), 2, 11)).await;
    let why = failure(&log).await;
    assert!(why.contains("another store"), "{why}");
    assert_eq!(log.heads().borrow().get(2), 10, "it was not taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_none_of_ours_is_passed_over() {
    let (topic, log) = filled().await;
    topic.write_foreign(1).await;
    topic.write(&event(EPOCH, 1, 11)).await;
    arrives(log.as_ref(), &ReadVector(vec![10, 11, 10, 10])).await;
    let small = open(&topic, empty_source(), TINY).await;
    let last = small.read(1, 0, 99).await.unwrap().last().unwrap().position.seq;
    assert!(last >= 10, "{last}");
    assert_eq!(small.read(1, 10, 99).await.unwrap()[0].position.seq, 11);
}

async fn refused(topic: &Topic, source: MemoryLog, relayed: ReadVector) -> OpenError {
    match KafkaLog::open(&topic.kafka, Arc::new(source), relayed).await {
        Ok(_) => panic!("it opens"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_log_does_not_open() {
    let topic = Topic::new().await;
    let start = ReadVector::start(PARTITIONS);
    let error = refused(&topic, MemoryLog::new(EPOCH, PARTITIONS + 1), start.clone()).await;
    assert!(matches!(error, OpenError::Partitions { .. }), "{error}");
    let error = refused(&topic, MemoryLog::new(EPOCH, PARTITIONS), ReadVector(vec![0, 0, 3, 0])).await;
    assert!(error.to_string().contains("made anew"), "{error}");
    topic.write(&event(EPOCH, 2, 1)).await;
    let error = refused(&topic, MemoryLog::new(Epoch(1), PARTITIONS), start).await;
    assert!(error.to_string().contains("another store"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_from_a_closed_log() {
    let (_topic, log) = filled().await;
    log.close().await;
    assert!(matches!(log.read(0, 3, 9).await, Err(LogError::Unavailable(_))));
    assert!(matches!(log.earliest().await, Err(LogError::Unavailable(_))));
    log.close().await;
}
