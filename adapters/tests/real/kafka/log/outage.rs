//! Kafka away, while events go on.

use std::{sync::Arc, time::Duration};

use sluice_adapters::kafka::LogOptions;
use sluice_schema::position::{Partition, ReadVector, Seq};
use sluice_subscriptions::log::{EventLog, LogError, reader::read_after};
use tokio::{
    task::{JoinHandle, block_in_place, spawn_blocking},
    time::{interval, timeout},
};

use super::{
    super::broker::Broker,
    pipeline::{Pipeline, TINY, arrives, open},
    topic::{PARTITIONS, Topic},
};

const PATIENCE: Duration = Duration::from_secs(120);

/// So few that much has to be read from Kafka.
const WINDOW: LogOptions = LogOptions { window_events: 50, window_bytes: 1 << 20 };

/// Follows a partition to `head`, through every outage; gives how often Kafka was away.
fn follow(log: Arc<dyn EventLog>, partition: Partition, head: Seq) -> JoinHandle<usize> {
    tokio::spawn(async move {
        let (mut at, mut away) = (0, 0);
        let mut heads = log.heads();
        while at < head {
            heads.wait_for(|heads| heads.get(partition) > at).await.unwrap();
            match read_after(log.as_ref(), partition, at, 20).await {
                Ok(events) => {
                    for event in events {
                        at += 1;
                        assert_eq!(event.position.seq, at);
                        assert_eq!(event.header.event_id, format!("{partition}-{at}"));
                    }
                }
                Err(LogError::Unavailable(_)) => away += 1,
                Err(gap) => panic!("{gap}"),
            }
        }
        away
    })
}

impl Pipeline {
    /// 200 events a second, to all partitions in turn.
    async fn append_for(&self, seconds: u64) {
        let mut ticks = interval(Duration::from_millis(20));
        for _ in 0..seconds * 50 {
            ticks.tick().await;
            for partition in 0..PARTITIONS {
                let next = self.source.heads().borrow().get(partition) + 1;
                self.append(partition, &format!("{partition}-{next}"));
            }
        }
    }

    async fn catches_up(&self) {
        let appended = self.source.heads().borrow().clone();
        timeout(PATIENCE, arrives(self.log.as_ref(), &appended)).await.expect("it does not catch up");
    }
}

async fn pipeline(broker: &Broker) -> Pipeline {
    let mut topic = Topic::at(&broker.address()).await;
    topic.kafka.deadline = Duration::from_secs(2);
    Pipeline::on(topic, WINDOW).await
}

async fn ended(followers: Vec<JoinHandle<usize>>) {
    for follower in followers {
        timeout(PATIENCE, follower).await.expect("a reader does not come to the end").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stands_still_holds_readers_up_and_no_more() {
    let broker = block_in_place(Broker::start);
    let pipeline = pipeline(&broker).await;
    let followers = (0..PARTITIONS).map(|partition| follow(pipeline.log.clone(), partition, 700)).collect();
    pipeline.append_for(2).await;
    pipeline.catches_up().await;
    let cold = open(&pipeline.topic, pipeline.source.clone(), TINY).await;
    broker.pause();
    // What is in memory is there, and what is not is not waited for.
    assert_eq!(pipeline.log.read(1, 99, 9).await.unwrap()[0].position.seq, 100);
    assert!(matches!(cold.read(1, 3, 9).await, Err(LogError::Unavailable(_))));
    assert!(matches!(pipeline.log.earliest().await, Err(LogError::Unavailable(_))));
    pipeline.append_for(10).await;
    assert_eq!(pipeline.log.heads().borrow().get(1), 100, "nothing is known of what is not in Kafka");
    broker.go_on();
    pipeline.append_for(2).await;
    pipeline.catches_up().await;
    ended(followers).await;
    ended(vec![follow(cold, 1, 700)]).await;
    assert_eq!(pipeline.log.earliest().await.unwrap(), ReadVector::start(PARTITIONS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_and_comes_back_loses_nothing() {
    let mut broker = block_in_place(Broker::start);
    let pipeline = pipeline(&broker).await;
    let followers = (0..PARTITIONS).map(|partition| follow(pipeline.log.clone(), partition, 400)).collect();
    for _ in 0..2 {
        pipeline.append_for(2).await;
        let restarted = spawn_blocking(move || {
            broker.kill_and_restart();
            broker
        });
        pipeline.append_for(2).await;
        broker = restarted.await.unwrap();
    }
    pipeline.catches_up().await;
    ended(followers).await;
    for partition in 0..PARTITIONS {
        let all = follow(pipeline.log.clone(), partition, 400);
        ended(vec![all]).await;
    }
}
