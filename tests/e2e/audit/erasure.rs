//! A member whose key is destroyed: her events are nowhere any more, and the trail says who did it.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    harness::{CHECK, Options, Server, code, soon},
    installation::on_real_parts,
};

const CHANNEL: &str = "/members/m-1001/**";

async fn erase(home: &Home, more: &[&str]) -> (Option<i32>, String) {
    let arguments = ["erase-member", "--tenant", home.tenant(), "--member", MEMBER];
    command(home, &[&arguments, more].concat()).await
}

/// A check that was answered, and a cursor before it.
async fn check(server: &Server, key: &str) -> (String, String) {
    let nurse = server.viewer("nurse");
    let before = nurse.now().await;
    let asked = nurse.request(question(RICH), key).await;
    let id = asked["data"]["requestEligibilityCheck"]["id"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned();
    let mut ws = nurse.connect().await;
    ws.subscribe("w", WATCH, json!({ "member": MEMBER, "after": before })).await;
    while ws.next_for("w").await["data"]["memberEligibility"]["state"] != "ANSWERED" {}
    (id, before)
}

async fn polled(server: &Server, after: &str) -> Value {
    server.poll("nurse", CHANNEL, Some(after), Duration::from_secs(1)).await
}

async fn assert_unreadable(server: &Server, id: &str, before: &str) {
    let polled = polled(server, before).await;
    assert_eq!(polled["events"], json!([]), "{polled}");
    assert_ne!(polled["cursor"].as_str(), Some(before), "it goes on behind them: {polled}");
    let read = server.graphql("nurse", CHECK, json!({ "id": id })).await;
    assert_eq!((code(&read), &read["data"]["eligibilityCheck"]), ("NOT_FOUND", &Value::Null), "{read}");
}

#[tokio::test]
async fn an_erased_members_events_are_unreadable_and_what_comes_later_is_not() {
    let server = gateway().await;
    let (id, before) = check(&server, "k-1").await;
    assert!(polled(&server, &before).await.to_string().contains("Harbor PPO"));

    let (status, words) = erase(server.home(), &[]).await;
    assert_eq!(status, Some(2), "{words}");
    assert!(words.contains("Nothing was done") && words.contains("--yes"), "{words}");
    let (status, words) = erase(server.home(), &["--yes"]).await;
    let server = match on_real_parts() {
        // Another process shares the keys: this one hears of it.
        true => {
            assert_eq!(status, Some(0), "{words}");
            let forgotten = async { while polled(&server, &before).await["events"] != json!([]) {} };
            soon("the key to be forgotten", forgotten).await;
            server
        }
        false => {
            assert_eq!(status, Some(1), "{words}");
            assert!(words.contains("another sluice process") && words.contains("stop it"), "{words}");
            assert!(polled(&server, &before).await.to_string().contains("Harbor PPO"), "nothing was erased");
            let home = server.terminate().await;
            let (status, words) = erase(&home, &["--yes"]).await;
            assert_eq!(status, Some(0), "{words}");
            assert!(words.contains("is destroyed"), "{words}");
            Server::start_in(home, Options::default()).await
        }
    };
    assert_unreadable(&server, &id, &before).await;

    let (second, later) = check(&server, "k-2").await;
    assert!(polled(&server, &later).await.to_string().contains("Harbor PPO"), "she has a new key");
    let all = polled(&server, &before).await;
    let subjects = all["events"].as_array().unwrap().iter().map(|event| &event["subject"]["id"]);
    assert!(subjects.into_iter().all(|subject| *subject == second), "of the later one alone: {all}");
    let home = server.terminate().await;
    let (whole, words) = verify(&home).await;
    assert!(whole, "{words}");
    let bodies = home.audit_bodies().await;
    let told: Vec<Value> = bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    let told: Vec<_> = told.iter().filter(|body| body["action"] == "administer").collect();
    let [record] = told[..] else { panic!("{told:?}") };
    assert_eq!((&record["operation"], &record["patient"]), (&json!("erase_member"), &json!(MEMBER)));
    assert_eq!(record["actor"]["transport"], "command-line");
}

#[tokio::test]
async fn what_was_erased_can_be_erased_again() {
    let home = after_a_run().await;
    for words in ["is destroyed", "has no key"] {
        let (status, said) = erase(&home, &["--yes"]).await;
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn what_cant_be_recorded_is_not_done() {
    let server = gateway().await;
    let (_, before) = check(&server, "k-1").await;
    let home = server.terminate().await;
    let arguments = ["erase-member", "--tenant", home.tenant(), "--member", MEMBER, "--yes"];
    let output = run(&arguments, &home, &[("FAILPOINTS", "audit.before-commit=return")]).await;
    assert!(!output.status.success());
    let server = Server::start_in(home, Options::default()).await;
    assert!(polled(&server, &before).await.to_string().contains("Harbor PPO"));
}
