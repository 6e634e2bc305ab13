//! Faults between the steps of a commit: `cargo test -p sluice-adapters --features failpoints --test failpoints`.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{collections::BTreeSet, env, future::Future, path::Path, process::Command, sync::Mutex, task::Poll};

use fail::FailScenario;
use jiff::Timestamp;
use sluice_adapters::sqlite::{DataDir, SqliteAudit, SqliteStore, StoreOptions};
use sluice_domain::store::{Append, Appended, EventStore, Idempotency};
use sluice_schema::{
    event::{NewEvent, StreamId},
    proto::header::{Header, RoutingKey, Subject, routing_key::Kind},
    sealed::Sealed,
    viewer::PurposeOfUse,
};
use sluice_subscriptions::{
    audit::{Action, AuditRecord, AuditTrail, Recipient, Verified},
    log::EventLog,
};
use tokio::sync::mpsc;

const CHILD_DIRECTORY: &str = "SLUICE_TEST_DIRECTORY";
const APPENDS: usize = 20;

/// The request number `i`; its result is its id.
fn request(i: usize) -> Append {
    let subject = Subject { r#type: "Check".into(), id: format!("c-{i}") };
    let header = Header {
        event_id: subject.id.clone(),
        tenant: "acme".into(),
        subject: Some(subject.clone()),
        routing_key: Some(RoutingKey { kind: Kind::Member.into(), id: "m-1".into() }),
        ..Header::default()
    };
    Append {
        tenant: "acme".parse().unwrap(),
        stream: StreamId::of_subject(&subject),
        expected_version: 0,
        events: vec![NewEvent { header, payload: Sealed(vec![7; 100].into()), holds_state: true }],
        idempotency: Some(Idempotency {
            scope: "s".into(),
            key: subject.id.clone(),
            input_hash: [1; 32],
            result: subject.id,
        }),
    }
}

async fn open(directory: &Path) -> SqliteStore {
    SqliteStore::open(&DataDir::open(directory).unwrap(), StoreOptions::default()).await.unwrap()
}

/// The process that dies: appends, and prints what was acknowledged. Run by itself it does nothing.
#[tokio::test]
async fn child() {
    let Some(directory) = env::var_os(CHILD_DIRECTORY) else { return };
    let _scenario = FailScenario::setup();
    let store = open(Path::new(&directory)).await;
    for i in 0..APPENDS {
        store.append(request(i)).await.unwrap();
        println!("acknowledged c-{i}");
    }
}

/// Runs the child to its death; gives the ids that it saw acknowledged.
fn run_child(directory: &Path, failpoints: &str) -> BTreeSet<String> {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD_DIRECTORY, directory)
        .env("FAILPOINTS", failpoints)
        .output()
        .unwrap();
    assert!(!output.status.success(), "it should have died");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter_map(|line| line.strip_prefix("acknowledged ")).map(Into::into).collect()
}

/// What a retry of each request finds out: the ids that were there.
async fn retry_all(directory: &Path) -> BTreeSet<String> {
    let store = open(directory).await;
    let mut there = BTreeSet::new();
    for i in 0..APPENDS {
        match store.append(request(i)).await.unwrap() {
            Appended::Fresh { .. } => {}
            Appended::Repeated { result, .. } => {
                there.insert(result);
            }
        }
    }
    assert_eq!(EventStore::heads(&store).0.iter().sum::<u64>() as usize, APPENDS, "each once");
    there
}

#[tokio::test]
async fn killed_before_the_commit_nothing_of_it_is_there() {
    // Of this process: what another test has set would hold up its stores.
    let _scenario = FailScenario::setup();
    for passes in [0, 1, 5, 13] {
        let home = tempfile::tempdir().unwrap();
        let acknowledged = run_child(home.path(), &format!("store.before-commit={passes}*off->return"));
        assert_eq!(acknowledged.len(), passes);
        assert_eq!(retry_all(home.path()).await, acknowledged);
    }
}

#[tokio::test]
async fn killed_before_the_answer_a_retry_finds_it_done() {
    // Of this process: what another test has set would hold up its stores.
    let _scenario = FailScenario::setup();
    for passes in [0, 1, 5, 13] {
        let home = tempfile::tempdir().unwrap();
        let acknowledged = run_child(home.path(), &format!("store.after-commit={passes}*off->return"));
        assert_eq!(acknowledged.len(), passes);
        let there = retry_all(home.path()).await;
        assert!(there.is_superset(&acknowledged));
        assert_eq!(there.len(), passes + 1);
    }
}

/// Holds the writer right before its commit: until then nobody may hear of the event.
#[tokio::test]
async fn nothing_is_told_before_the_commit() {
    let scenario = FailScenario::setup();
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let (reached, mut wait) = mpsc::unbounded_channel();
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    fail::cfg_callback("store.before-commit", move || {
        reached.send(()).unwrap();
        held.lock().unwrap().recv().unwrap();
    })
    .unwrap();
    let heads = EventLog::heads(&store);
    let before = heads.borrow().clone();
    let check = async {
        wait.recv().await.unwrap();
        assert_eq!(*heads.borrow(), before);
        for partition in 0..store.partitions() {
            assert!(store.read(partition, 0, 9).await.unwrap().is_empty());
        }
        go_on.send(()).unwrap();
    };
    let (appended, ()) = tokio::join!(store.append(request(0)), check);
    appended.unwrap();
    assert_eq!(heads.borrow().0.iter().sum::<u64>(), 1);
    scenario.teardown();
}

fn record() -> AuditRecord {
    let recipient = Recipient {
        user: "u-1".parse().unwrap(),
        actor: None,
        purpose: PurposeOfUse::Treatment,
        transport: "sse".into(),
        seen: None,
    };
    AuditRecord {
        at: Timestamp::now(),
        tenant: "acme".parse().unwrap(),
        action: Action::Subscribe { recipient, patient: None, channel: "/members/*".into() },
    }
}

/// On one thread, so that a pause that blocked it would stop everything.
#[tokio::test]
async fn a_stalled_trail_stalls_nobody_else() {
    let scenario = FailScenario::setup();
    let home = tempfile::tempdir().unwrap();
    let directory = DataDir::open(home.path()).unwrap();
    let store = SqliteStore::open(&directory, StoreOptions::default()).await.unwrap();
    let audit = SqliteAudit::open(&directory, "node-1").await.unwrap();
    fail::cfg("audit.before-commit", "pause").unwrap();
    let mut stalled = Box::pin(audit.append(vec![record()]));
    for i in 0..APPENDS {
        let poll = std::future::poll_fn(|context| Poll::Ready(stalled.as_mut().poll(context))).await;
        assert!(poll.is_pending());
        store.append(request(i)).await.unwrap();
    }
    assert_eq!(audit.verify().await.unwrap(), Verified::Intact { records: 0 });
    fail::remove("audit.before-commit");
    stalled.await.unwrap();
    assert_eq!(audit.verify().await.unwrap(), Verified::Intact { records: 1 });
    scenario.teardown();
}
