//! Gateways side by side, and how soon they know.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sluice_adapters::kafka::LogOptions;
use sluice_schema::position::{Partition, Position, ReadVector};
use sluice_subscriptions::log::{EventLog, reader::Reader};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    pipeline::{Pipeline, TINY, arrives, open},
    topic::PARTITIONS,
};

async fn read_all(log: Arc<dyn EventLog>, from: ReadVector, count: usize) -> Vec<(Position, String)> {
    let mut reader = Reader::new(log, from);
    let mut seen = Vec::new();
    while seen.len() < count {
        for event in reader.next_batch(64).await.unwrap() {
            seen.push((event.position, event.header.event_id.clone()));
        }
    }
    seen.sort_by_key(|(position, _)| (position.partition, position.seq));
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_on_one_topic_see_the_same() {
    let pipeline = Pipeline::open(LogOptions::default()).await;
    let other = open(&pipeline.topic, pipeline.source.clone(), TINY).await;
    let start = ReadVector::start(PARTITIONS);
    let one = tokio::spawn(read_all(pipeline.log.clone(), start.clone(), 600));
    let two = tokio::spawn(read_all(other.clone(), start.clone(), 600));
    for number in 0..600 {
        pipeline.append(number % PARTITIONS, &format!("e-{number}"));
        tokio::task::yield_now().await;
    }
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    assert_eq!(one, two);
    assert_eq!(pipeline.log.acknowledged().await.unwrap(), *pipeline.source.heads().borrow());
    let late = open(&pipeline.topic, pipeline.source.clone(), TINY).await;
    assert_eq!(read_all(late, start, 600).await, one, "one that comes later too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_known_soon() {
    const EVENTS: u16 = 1000;
    let pipeline = Pipeline::open(LogOptions::default()).await;
    // A producer's first record takes longer.
    for partition in 0..PARTITIONS {
        pipeline.append(partition, "first");
    }
    arrives(pipeline.log.as_ref(), &ReadVector(vec![1; PARTITIONS.into()])).await;
    let mut ticks = interval(Duration::from_millis(5));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut waits = Vec::new();
    for number in 0..EVENTS {
        ticks.tick().await;
        let appended = Instant::now();
        let Position { partition, seq, .. } = pipeline.append(Partition::from(number) % PARTITIONS, "e");
        let mut heads = pipeline.log.heads();
        waits.push(tokio::spawn(async move {
            heads.wait_for(|heads| heads.get(partition) >= seq).await.unwrap();
            appended.elapsed()
        }));
    }
    let mut took = Vec::new();
    for wait in waits {
        took.push(wait.await.unwrap());
    }
    took.sort();
    let (median, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    println!("append to heads at 200/s: p50 {median:?}, p99 {p99:?}, max {:?}", took.last().unwrap());
    // Far above what it takes, and below any timer of Kafka's client.
    assert!(median < Duration::from_millis(100), "p50 {median:?}");
}
