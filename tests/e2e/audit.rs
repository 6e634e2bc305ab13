//! What is seen is in the audit trail first, and the trail can't be altered unnoticed.

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::harness::{MEMBER, RICH, Server, WATCH, gateway, question, run};

/// Something to tell of: an answered check that the nurse saw. The data directory, and its home.
async fn after_a_run() -> tempfile::TempDir {
    let server = gateway().await;
    let nurse = server.viewer("nurse");
    let mut ws = nurse.connect().await;
    let after = nurse.now().await;
    ws.subscribe("w", WATCH, serde_json::json!({ "member": MEMBER, "after": after })).await;
    nurse.request(question(RICH), "k-1").await;
    for _ in ["ACCEPTED", "ANSWERED"] {
        ws.next_for("w").await;
    }
    server.terminate().await
}

async fn verify(home: &tempfile::TempDir) -> (bool, String) {
    let output = run(&["audit", "verify"], &home.path().join("data")).await;
    let words = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(words).unwrap())
}

/// With the rights of one who can write to the file.
async fn tamper(home: &tempfile::TempDir, statement: &'static str) {
    let file = SqliteConnectOptions::new().filename(home.path().join("data/audit.db"));
    let mut db = SqliteConnection::connect_with(&file).await.unwrap();
    let done = sqlx::query(statement).execute(&mut db).await.unwrap();
    assert!(done.rows_affected() > 0, "{statement}");
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_trail_is_whole_after_a_run() {
    let home = after_a_run().await;
    let (whole, words) = verify(&home).await;
    assert!(whole, "{words}");
    assert!(words.starts_with("The audit trail is whole: ") && !words.contains(" 0 records"), "{words}");
}

#[tokio::test]
async fn a_record_that_was_altered_or_removed_is_found() {
    for statement in [
        "UPDATE records SET body = replace(body, 'u-nurse', 'u-other') WHERE number = 2",
        "DELETE FROM records WHERE number = 2",
        "UPDATE records SET hash = zeroblob(32) WHERE number = 1",
    ] {
        let home = after_a_run().await;
        tamper(&home, statement).await;
        let (whole, words) = verify(&home).await;
        assert!(!whole, "{statement} goes unnoticed: {words}");
        assert!(words.contains("broken at record"), "{words}");
    }
}

/// The trail names who and what, and never what was in it.
#[tokio::test]
async fn no_value_is_in_the_trail() {
    let home = after_a_run().await;
    let file = SqliteConnectOptions::new().filename(home.path().join("data/audit.db"));
    let mut db = SqliteConnection::connect_with(&file).await.unwrap();
    let bodies: Vec<String> = sqlx::query_scalar("SELECT body FROM records").fetch_all(&mut db).await.unwrap();
    let trail = bodies.concat();
    assert!(trail.contains("u-nurse") && trail.contains(MEMBER), "{trail}");
    for value in ["Oakenshaw", "AETNA12345", "Harbor PPO", "1987-03-09"] {
        assert!(!trail.contains(value), "{value} is in the trail");
    }
}

#[cfg(feature = "failpoints")]
mod stalled {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::harness::{CHECK, Options, code};

    /// The trail takes the record that a subscription began, and then nothing more.
    const STALLED: &str = "audit.before-commit=1*off->pause";

    /// What an event of the check has in it, and nothing else that is sent.
    const EVENT: [&str; 4] = ["Harbor PPO", "ANSWERED", "ACCEPTED", "\"next\""];

    async fn check_of(server: &Server) -> String {
        let asked = server.viewer("nurse").request(question(RICH), "k-2").await;
        asked["data"]["requestEligibilityCheck"]["id"].as_str().unwrap().to_owned()
    }

    fn assert_nothing(what: &str, bytes: &str) {
        for part in EVENT {
            assert!(!bytes.contains(part), "{what} lets out {part:?}: {bytes}");
        }
    }

    #[tokio::test]
    async fn nothing_of_an_event_leaves_while_the_trail_is_stalled() {
        let server = gateway().await;
        let before = server.viewer("nurse").now().await;
        let id = check_of(&server).await;
        let server = Server::start_in(server.terminate().await, Options::failpoints(STALLED)).await;
        let nurse = server.viewer("nurse");

        // On the WebSocket the events behind the cursor are there to be sent, but for the trail.
        let mut ws = nurse.connect().await;
        ws.subscribe("w", WATCH, json!({ "member": MEMBER, "after": before })).await;
        ws.ping().await;
        let channel = format!("/members/{MEMBER}/**");
        let (read, polled, asked) = tokio::join!(
            nurse.graphql(CHECK, json!({ "id": id })),
            nurse.poll(&channel, Some(&before), Duration::from_secs(1)),
            nurse.request(question(("60054", "AETNA9wcSu")), "k-3"),
        );
        assert_eq!(code(&read), "UNAVAILABLE");
        assert_eq!(code(&asked), "UNAVAILABLE");
        assert_nothing("a query", &read.to_string());
        assert_nothing("a mutation", &asked.to_string());
        assert_nothing("a long poll", &polled.to_string());
        assert_nothing("a WebSocket", &ws.heard().await);

        // It was there all the time.
        let server = Server::start_in(server.kill().await, Options::default()).await;
        let nurse = server.viewer("nurse");
        let polled = nurse.poll(&channel, Some(&before), Duration::from_secs(9)).await;
        assert!(polled.to_string().contains("Harbor PPO"), "{polled}");
        let again = nurse.request(question(("60054", "AETNA9wcSu")), "k-3").await;
        assert_eq!(again["errors"], json!(null), "what was not shown was done once");
    }
}
