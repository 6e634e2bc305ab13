//! Relays that are cut off anywhere, that run beside each other, and a store that is away now and then: events may come
//! twice, and never with a hole.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fastrand::Rng;
use sluice_adapters::kafka::Relay;
use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, ReadVector, Seq},
};
use sluice_subscriptions::log::{EventLog, LogError, hostile::Hostile};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::relay_support::{Rig, Running};

/// Runs a relay for some time and drops it, wherever it is.
async fn cut_off(relay: Relay, life: Duration) {
    let ended = timeout(life, relay.run(CancellationToken::new())).await;
    assert!(ended.is_err(), "{ended:?}");
}

/// Appends now and then, as long as it is awaited.
async fn load(rig: &Rig, seed: u64) {
    let mut random = Rng::with_seed(seed);
    loop {
        rig.append(random.u64(0..20));
        sleep(Duration::from_millis(random.u64(1..10))).await;
    }
}

/// A life that surely ends between a confirmation and its checkpoint: what it brings to the topic stays, and no more.
async fn before_the_checkpoint(rig: &Rig) {
    rig.saved.hangs.send_replace(true);
    rig.append(20);
    tokio::select! {
        ended = async { rig.relay().run(CancellationToken::new()).await } => panic!("{ended:?}"),
        () = rig.topic_holds(20) => {}
    }
}

/// Lives of relays, in some of which no checkpoint is ever written: what they confirmed is sent again.
async fn lives(rig: &Rig, seed: u64, count: usize) {
    let mut random = Rng::with_seed(seed);
    for _ in 0..count {
        rig.saved.hangs.send_replace(random.bool());
        cut_off(rig.relay(), Duration::from_millis(random.u64(0..400))).await;
    }
}

async fn finish(rig: &Rig) -> usize {
    rig.saved.hangs.send_replace(false);
    rig.relay_all().await;
    rig.check().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_anywhere_nothing_is_lost() {
    let rig = Rig::new().await;
    before_the_checkpoint(&rig).await;
    tokio::select! {
        () = lives(&rig, 11, 30) => {}
        () = load(&rig, 12) => {}
    }
    let repeats = finish(&rig).await;
    assert!(repeats > 0, "no relay was cut off between a confirmation and its checkpoint");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_only_repeat_each_other() {
    let rig = Rig::new().await;
    let both = async {
        tokio::join!(lives(&rig, 21, 12), lives(&rig, 22, 12));
    };
    tokio::select! {
        () = both => {}
        () = load(&rig, 23) => {}
    }
    let first = Running::start(rig.relay());
    let second = Running::start(rig.relay());
    rig.saved.hangs.send_replace(false);
    rig.append(300);
    rig.caught_up().await;
    first.stop().await.unwrap();
    second.stop().await.unwrap();
    assert!(finish(&rig).await > 300, "the other one repeats all");
}

/// Away for one call in three.
struct Flaky {
    log: Arc<dyn EventLog>,
    calls: AtomicU64,
}

impl Flaky {
    fn call(&self) -> Result<(), LogError> {
        match self.calls.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => Err(LogError::Unavailable("away".into())),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl EventLog for Flaky {
    fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    fn partitions(&self) -> Partition {
        self.log.partitions()
    }

    fn heads(&self) -> watch::Receiver<ReadVector> {
        self.log.heads()
    }

    async fn earliest(&self) -> Result<ReadVector, LogError> {
        self.call()?;
        self.log.earliest().await
    }

    async fn read(&self, partition: Partition, after: Seq, limit: usize) -> Result<Vec<Arc<RecordedEvent>>, LogError> {
        self.call()?;
        self.log.read(partition, after, limit).await
    }
}

#[tokio::test]
async fn a_store_that_is_away_now_and_then_is_asked_again() {
    let rig = Rig::new().await;
    rig.append(600);
    let flaky = Arc::new(Flaky { log: rig.source.clone(), calls: AtomicU64::new(0) });
    let running = Running::start(rig.relay_of(Arc::new(Hostile::new(flaky.clone(), 5))));
    rig.caught_up().await;
    running.stop().await.unwrap();
    assert_eq!(rig.check().await, 0);
    assert!(flaky.calls.load(Ordering::Relaxed) > 30);
}
