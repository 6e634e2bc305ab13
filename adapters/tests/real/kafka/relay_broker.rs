//! A broker that hangs or dies under load.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, ReadVector, Seq},
};
use sluice_subscriptions::log::{EventLog, LogError, memory::MemoryLog};
use tokio::{
    sync::watch,
    task::block_in_place,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    broker::Broker,
    relay_support::{PARTITIONS, Rig, Running},
};

/// The most that a relay may have in hand: what is in flight, and a batch that was just read.
const IN_HAND: u64 = 1024 + 64;

/// Notes how far it was read.
struct Counting {
    log: Arc<MemoryLog>,
    read: Mutex<ReadVector>,
}

#[async_trait]
impl EventLog for Counting {
    fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    fn partitions(&self) -> Partition {
        EventLog::partitions(self.log.as_ref())
    }

    fn heads(&self) -> watch::Receiver<ReadVector> {
        self.log.heads()
    }

    async fn earliest(&self) -> Result<ReadVector, LogError> {
        self.log.earliest().await
    }

    async fn read(&self, partition: Partition, after: Seq, limit: usize) -> Result<Vec<Arc<RecordedEvent>>, LogError> {
        let events = self.log.read(partition, after, limit).await?;
        let mut read = self.read.lock().unwrap();
        events.iter().for_each(|event| read.advance(partition, event.position.seq));
        Ok(events)
    }
}

/// 200 events a second, as long as it is awaited.
async fn load(rig: &Rig) {
    let mut ticks = interval(Duration::from_millis(5));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        rig.append(1);
    }
}

async fn load_for(rig: &Rig, time: Duration) {
    let endless = timeout(time, load(rig)).await;
    assert!(endless.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_hangs_costs_bounded_memory_and_nothing_else() {
    let broker = Broker::start();
    let rig = Rig::at(&broker.address()).await;
    let source = Arc::new(Counting { log: rig.source.clone(), read: Mutex::new(ReadVector::start(PARTITIONS)) });
    let running = Running::start(rig.relay_of(source.clone()));
    load_for(&rig, Duration::from_secs(1)).await;
    rig.caught_up().await;
    let confirmed = rig.heads();
    broker.pause();
    rig.append(20_000);
    load_for(&rig, Duration::from_secs(10)).await;
    let read = source.read.lock().unwrap().clone();
    for (partition, read) in read.partitions() {
        let in_hand = read - confirmed.get(partition);
        assert!((1..=IN_HAND).contains(&in_hand), "{in_hand} events are in hand");
    }
    broker.go_on();
    load_for(&rig, Duration::from_secs(1)).await;
    rig.caught_up().await;
    running.stop().await.unwrap();
    assert_eq!(rig.check().await, 0, "what the broker had is known to it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_dies_loses_nothing() {
    let mut broker = Broker::start();
    let rig = Rig::at(&broker.address()).await;
    let running = Running::start(rig.relay());
    let outages = async {
        for _ in 0..3 {
            load_for(&rig, Duration::from_millis(700)).await;
            block_in_place(|| broker.kill_and_restart());
        }
    };
    tokio::select! {
        () = load(&rig) => {}
        () = outages => {}
    }
    rig.append(100);
    rig.caught_up().await;
    running.stop().await.unwrap();
    rig.check().await;
}
