//! A node in a process of its own, whose failpoints are its own too: it does what it is told, line by line, and may be killed.

use std::{env, io::BufRead, process::Stdio, sync::Arc, thread, time::Duration};

use fail::FailScenario;
use sluice_adapters::postgres::{Postgres, PostgresAudit, PostgresOptions, PostgresStore, StoreOptions};
use sluice_domain::store::{Appended, EventStore};
use sluice_subscriptions::audit::{AuditTrail, contract::records};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{ChildStdin, ChildStdout, Command},
    sync::mpsc,
    time::timeout,
};

use super::database::{Database, append_of};

const URL: &str = "SLUICE_TEST_CHILD_URL";
const DEADLINE: Duration = Duration::from_secs(20);
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Begins each line of the child, among those of the test's frame.
const SAYS: &str = "child says ";

pub(super) struct Child {
    process: tokio::process::Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// `failpoints` as in the environment variable of the crate `fail`.
    pub(super) async fn start(database: &Database, failpoints: &str) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "postgres::child::child", "--nocapture"])
            .env(URL, database.url())
            .env("FAILPOINTS", failpoints)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (orders, lines) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()).lines());
        let mut this = Self { process, orders, lines };
        assert_eq!(this.says().await, "ready");
        this
    }

    /// `append c-1`, `record 1` or `let go <failpoint>`.
    pub(super) async fn order(&mut self, order: &str) {
        self.orders.write_all(format!("{order}\n").as_bytes()).await.unwrap();
    }

    pub(super) async fn says(&mut self) -> String {
        let said = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if let Some(said) = line.strip_prefix(SAYS) {
                    return said.to_owned();
                }
            }
            panic!("the child ended");
        };
        timeout(PATIENCE, said).await.unwrap()
    }

    /// Ends it without a word of farewell, and gives what it said that was not heard yet.
    pub(super) async fn kill(mut self) -> Vec<String> {
        self.process.start_kill().unwrap();
        self.end().await
    }

    /// Until it is dead.
    pub(super) async fn end(mut self) -> Vec<String> {
        let status = timeout(PATIENCE, self.process.wait()).await.unwrap().unwrap();
        assert!(!status.success(), "it should have died");
        let mut said = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            said.extend(line.strip_prefix(SAYS).map(str::to_owned));
        }
        said
    }
}

struct Node {
    store: PostgresStore,
    audit: PostgresAudit,
}

impl Node {
    async fn open(url: String) -> Self {
        let db = Postgres::connect(&PostgresOptions { url, max_connections: 2, deadline: DEADLINE }).await.unwrap();
        let store = PostgresStore::open(&db, StoreOptions::default()).await.unwrap();
        Self { store, audit: PostgresAudit::open(&db, "child").await.unwrap() }
    }

    async fn obey(&self, order: &str) {
        let (verb, what) = order.split_once(' ').unwrap();
        let outcome = match verb {
            "append" => match self.store.append(append_of(what)).await {
                Ok(Appended::Fresh { .. }) => "fresh".to_owned(),
                Ok(Appended::Repeated { .. }) => "repeated".to_owned(),
                Err(error) => error.to_string(),
            },
            "record" => match self.audit.append(records(what.parse().unwrap())).await {
                Ok(()) => "recorded".to_owned(),
                Err(error) => error.to_string(),
            },
            _ => panic!("{order}"),
        };
        println!("{SAYS}{what}: {outcome}");
    }
}

/// The child's side. Run by itself it does nothing.
#[tokio::test]
async fn child() {
    let Ok(url) = env::var(URL) else { return };
    let _scenario = FailScenario::setup();
    let node = Arc::new(Node::open(url).await);
    let (order, mut orders) = mpsc::unbounded_channel();
    thread::spawn(move || std::io::stdin().lock().lines().try_for_each(|line| order.send(line.unwrap())));
    println!("\n{SAYS}ready");
    while let Some(order) = orders.recv().await {
        if let Some(failpoint) = order.strip_prefix("let go ") {
            fail::remove(failpoint);
            continue;
        }
        let node = node.clone();
        tokio::spawn(async move { node.obey(&order).await });
    }
}
