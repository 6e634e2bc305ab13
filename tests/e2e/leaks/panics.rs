//! A panic may hold anything in its text.

use super::{assert_clean, word};
use crate::harness::{Options, RICH, Server, question};

#[tokio::test]
async fn a_panic_tells_where_it_was_and_nothing_of_what_was_at_hand() {
    let faults = format!("store.before-commit=panic({})", word());
    let server = Server::start(Options::failpoints(&faults).env("SLUICE__TELEMETRY__LOG_FILTER", "trace")).await;
    let answer = server.viewer("nurse").request(question(RICH), "k-1").await.to_string();
    let (_, metrics) = server.get("/metrics").await;
    let (log, said) = (server.log(), server.said());
    let (_, told) = log.split_once("a panic").expect("it is told");
    assert!(told.contains(".rs:") && told.contains("withheld") && told.contains("thread="), "{told:.300}");
    for (what, text) in [("the answer", answer), ("the metrics", metrics), ("the log", log), ("what it said", said)] {
        assert_clean(what, text.as_bytes());
    }
}
