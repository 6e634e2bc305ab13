//! A topic that is not the one that was relayed to is refused, before anything false is in it or in the checkpoint.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use sluice_adapters::kafka::{Relay, RelayError};
use sluice_schema::position::{Epoch, ReadVector};
use sluice_subscriptions::log::memory::MemoryLog;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::relay_support::{EPOCH, PARTITIONS, PATIENCE, Rig, Running, event};

#[track_caller]
fn assert_made_anew(ended: Result<(), RelayError>, what: &str) {
    match ended {
        Err(RelayError::MadeAnew { why, .. }) => assert!(why.contains(what), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_not_ours(ended: Result<(), RelayError>, what: &str) {
    match ended {
        Err(RelayError::NotOurs { why, .. }) => assert!(why.contains(what), "{why}"),
        other => panic!("{other:?}"),
    }
}

async fn run(relay: Relay) -> Result<(), RelayError> {
    timeout(PATIENCE, relay.run(CancellationToken::new())).await.expect("it goes on")
}

#[tokio::test]
async fn an_empty_topic_in_the_place_of_ours() {
    let rig = Rig::new().await;
    rig.append(30);
    rig.relay_all().await;
    rig.delete_topic().await;
    rig.make_topic().await;
    rig.append(30);
    assert_made_anew(run(rig.relay()).await, "empty");
    assert!(rig.records().await.iter().all(Vec::is_empty), "nothing was sent to it");
}

#[tokio::test]
async fn made_anew_while_the_relay_runs() {
    let rig = Rig::new().await;
    let running = Running::start(rig.relay());
    rig.append(30);
    rig.caught_up().await;
    let before = rig.saved.vector.borrow().clone();
    rig.delete_topic().await;
    rig.make_topic().await;
    rig.append(30);
    let ended = running.ended().await;
    assert!(matches!(ended, Err(RelayError::MadeAnew { .. })), "{ended:?}");
    assert_eq!(*rig.saved.vector.borrow(), before, "nothing of the new topic is in the checkpoint");
    // Whatever came to the new topic in between.
    assert!(matches!(run(rig.relay()).await, Err(RelayError::MadeAnew { .. })));
}

#[tokio::test]
async fn made_anew_after_some_time_away() {
    let rig = Rig::new().await;
    rig.append(30);
    rig.relay_all().await;
    rig.delete_topic().await;
    let mut relaying = Box::pin(run(rig.relay()));
    let waits = timeout(Duration::from_secs(2), &mut relaying).await;
    assert!(waits.is_err(), "a topic that is away may come back: {waits:?}");
    rig.make_topic().await;
    assert_made_anew(relaying.await, "empty");
}

/// As if it had been made anew, and another relay had gone on in it.
#[tokio::test]
async fn it_begins_behind_what_was_relayed() {
    let rig = Rig::new().await;
    rig.append(60);
    (0..PARTITIONS).for_each(|partition| rig.source.forget(partition, 15));
    rig.relay_all().await;
    let began = rig.records().await;
    assert!(began.iter().all(|records| records[0].seq == 16), "what left the store can't be relayed");
    rig.saved.vector.send_replace(Some(ReadVector(vec![15; PARTITIONS.into()])));
    assert_made_anew(run(rig.relay()).await, "begins behind");
}

#[tokio::test]
async fn it_holds_another_epoch() {
    let rig = Rig::new().await;
    rig.append(30);
    rig.relay_all().await;
    let other = Arc::new(MemoryLog::new(Epoch(EPOCH.0 + 1), PARTITIONS));
    assert_not_ours(run(rig.relay_of(other)).await, "another epoch");
}

/// The store lost its newest events and went on: what it has now would be taken for repeats.
#[tokio::test]
async fn it_holds_other_events_than_the_store() {
    let rig = Rig::new().await;
    rig.append(30);
    rig.relay_all().await;
    let restored = Arc::new(MemoryLog::new(EPOCH, PARTITIONS));
    let append = |count| {
        for partition in 0..PARTITIONS {
            (0..count).for_each(|number| {
                restored.append(partition, event(1000 + number));
            });
        }
    };
    append(5);
    let mut relaying = Box::pin(run(rig.relay_of(restored.clone())));
    assert!(timeout(Duration::from_secs(2), &mut relaying).await.is_err(), "nothing is known yet");
    append(15);
    assert_not_ours(relaying.await, "other events");
    assert_eq!(rig.check().await, 0, "nothing was sent to it");
}

#[tokio::test]
async fn it_is_someone_elses() {
    let rig = Rig::new().await;
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", &rig.kafka.brokers).create().unwrap();
    let record = FutureRecord::to(&rig.kafka.topic).partition(1).key("k").payload("theirs");
    producer.send(record, PATIENCE).await.unwrap();
    rig.append(30);
    assert_not_ours(run(rig.relay()).await, "did not write");
    assert_eq!(rig.counts().await, [0, 1, 0], "nothing of ours is in it");
}

/// What the brokers lost at its end comes again.
#[tokio::test]
async fn a_lost_tail_is_no_other_topic() {
    let rig = Rig::new().await;
    rig.append(60);
    rig.relay_all().await;
    rig.append(60);
    rig.saved.vector.send_replace(Some(rig.heads()));
    let running = Running::start(rig.relay());
    rig.topic_holds(120).await;
    running.stop().await.unwrap();
    assert_eq!(rig.check().await, 0);
}
