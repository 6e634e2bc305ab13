//! A process that dies between a confirmation and its checkpoint, on a store that is real.

use std::{env, path::Path, process::Command, sync::Arc};

use sluice_adapters::{
    kafka::{KafkaOptions, Relay},
    sqlite::{DataDir, SqliteStore, StoreOptions},
};
use sluice_domain::store::{Append, EventStore};
use sluice_schema::event::{NewEvent, StreamId};
use sluice_subscriptions::log::{Checkpoints, EventLog};
use tokio::time::timeout;

use super::{
    relay_support::{PARTITIONS, PATIENCE, Rig, Running, event},
    relay_topic::check,
};

const CHILD_DIRECTORY: &str = "SLUICE_TEST_RELAY_DIRECTORY";
const CHILD_TOPIC: &str = "SLUICE_TEST_RELAY_TOPIC";

async fn open(directory: &Path) -> Arc<SqliteStore> {
    let options = StoreOptions { partitions: PARTITIONS, ..StoreOptions::default() };
    Arc::new(SqliteStore::open(&DataDir::open(directory).unwrap(), options).await.unwrap())
}

fn relay(store: &Arc<SqliteStore>, kafka: KafkaOptions) -> Relay {
    Relay { source: store.clone(), checkpoints: store.clone(), kafka, key: [7; 32] }
}

async fn append(store: &SqliteStore, count: u64) {
    let number = EventLog::heads(store).borrow().0.iter().sum::<u64>();
    for number in number..number + count {
        let event = event(number);
        let append = Append {
            tenant: event.header.tenant.parse().unwrap(),
            stream: StreamId::of_subject(&event.subject()),
            expected_version: 0,
            events: vec![NewEvent { header: event.header, payload: event.payload, holds_state: true }],
            idempotency: None,
        };
        store.append(append).await.unwrap();
    }
}

/// The process that dies: appends and relays. Run by itself it does nothing.
#[tokio::test]
async fn child() {
    let (Some(directory), Ok(topic)) = (env::var_os(CHILD_DIRECTORY), env::var(CHILD_TOPIC)) else { return };
    let _scenario = fail::FailScenario::setup();
    let store = open(Path::new(&directory)).await;
    let kafka = KafkaOptions { topic, ..Rig::options(&crate::services::kafka()) };
    let _running = Running::start(relay(&store, kafka));
    let endless = async {
        loop {
            append(&store, 1).await;
        }
    };
    let _ = timeout(PATIENCE, endless).await;
}

/// Runs the child until it comes to its checkpoint number `passes`.
async fn run_child(directory: &Path, topic: &str, passes: usize) {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "kafka::relay_crash::child", "--nocapture"])
        .env(CHILD_DIRECTORY, directory)
        .env(CHILD_TOPIC, topic)
        .env("FAILPOINTS", format!("relay.before-checkpoint={passes}*off->return"))
        .output()
        .unwrap();
    assert!(!output.status.success(), "it should have died");
}

#[tokio::test]
async fn killed_between_confirmation_and_checkpoint() {
    let home = tempfile::tempdir().unwrap();
    let rig = Rig::new().await;
    for passes in [0, 0, 1, 2, 0, 1] {
        run_child(home.path(), &rig.kafka.topic, passes).await;
    }
    let store = open(home.path()).await;
    append(&store, 50).await;
    let heads = EventLog::heads(store.as_ref()).borrow().clone();
    let running = Running::start(relay(&store, rig.kafka.clone()));
    let checkpoints: &dyn Checkpoints = store.as_ref();
    let relayed = async {
        let load = || checkpoints.load(Relay::CHECKPOINT, store.epoch());
        while !load().await.unwrap().is_some_and(|saved| saved.covers(&heads)) {}
    };
    timeout(PATIENCE, relayed).await.expect("the relay does not catch up");
    running.stop().await.unwrap();
    let repeats = check(&rig.records().await, store.as_ref()).await;
    assert!(repeats > 0, "each life was cut off before a checkpoint");
}
