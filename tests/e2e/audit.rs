//! What is seen is in the audit trail first, and the trail can't be altered unnoticed.

mod ends;
mod erasure;
mod heads;
mod records;

use sqlx::{Connection, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    harness::{MEMBER, RICH, WATCH, gateway, question, run},
    installation::Home,
};

/// Something to tell of: an answered check that the nurse saw. The data directory, and its home.
async fn after_a_run() -> Home {
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

async fn verify(home: &Home) -> (bool, String) {
    let (code, words) = command(home, &["audit", "verify"]).await;
    (code == Some(0), words)
}

/// How it ended, and all that it said.
async fn command(home: &Home, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(arguments, home, &[]).await;
    let words = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(words).unwrap())
}

/// By one who may write to the trail, and so can also take away the triggers that make it append-only.
async fn tamper(home: &Home, tampering: &Tampering) {
    match home.database() {
        Some(database) => in_database(&mut database.connect().await, tampering.postgres).await,
        None => in_file(home, tampering.sqlite).await,
    }
}

async fn in_file(home: &Home, statement: &'static str) {
    let file = SqliteConnectOptions::new().filename(home.data_dir().join("audit.db"));
    let mut db = SqliteConnection::connect_with(&file).await.unwrap();
    let query = "SELECT name FROM sqlite_schema WHERE type = 'trigger'";
    let triggers: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut db).await.unwrap();
    assert!(sqlx::query(statement).execute(&mut db).await.is_err(), "the triggers refuse it");
    for trigger in triggers {
        sqlx::query(sqlx::AssertSqlSafe(format!("DROP TRIGGER {trigger}"))).execute(&mut db).await.unwrap();
    }
    let done = sqlx::query(statement).execute(&mut db).await.unwrap();
    assert!(done.rows_affected() > 0, "{statement}");
    db.close().await.unwrap();
}

async fn in_database(db: &mut PgConnection, statement: &'static str) {
    assert!(sqlx::query(statement).execute(&mut *db).await.is_err(), "the triggers refuse it");
    let disable = "ALTER TABLE sluice.audit_records DISABLE TRIGGER USER";
    sqlx::query(disable).execute(&mut *db).await.unwrap();
    let done = sqlx::query(statement).execute(&mut *db).await.unwrap();
    assert!(done.rows_affected() > 0, "{statement}");
}

/// One and the same, in two databases.
struct Tampering {
    sqlite: &'static str,
    postgres: &'static str,
}

const TAMPERINGS: [Tampering; 5] = [
    Tampering {
        sqlite: "UPDATE records SET body = replace(body, 'u-nurse', 'u-other') WHERE number = 2",
        postgres: "UPDATE sluice.audit_records SET body = replace(body, 'u-nurse', 'u-other') WHERE number = 2",
    },
    Tampering {
        sqlite: "DELETE FROM records WHERE number = 2",
        postgres: "DELETE FROM sluice.audit_records WHERE number = 2",
    },
    Tampering {
        sqlite: "UPDATE records SET hash = zeroblob(32) WHERE number = 1",
        postgres: "UPDATE sluice.audit_records SET hash = decode(repeat('00', 32), 'hex') WHERE number = 1",
    },
    Tampering {
        sqlite: "DELETE FROM records WHERE number = (SELECT max(number) FROM records)",
        postgres: "DELETE FROM sluice.audit_records WHERE number = (SELECT max(number) FROM sluice.audit_records)",
    },
    Tampering { sqlite: "DELETE FROM records", postgres: "DELETE FROM sluice.audit_records" },
];

#[tokio::test]
async fn a_trail_is_whole_after_a_run() {
    let home = after_a_run().await;
    let (whole, words) = verify(&home).await;
    assert!(whole, "{words}");
    assert!(words.starts_with("The audit trail is whole: ") && !words.contains("whole: 0 records"), "{words}");
    assert!(words.contains("no record is behind the last head"), "it ended in order: {words}");
}

#[tokio::test]
async fn a_record_that_was_altered_or_removed_is_found() {
    for tampering in &TAMPERINGS {
        let home = after_a_run().await;
        tamper(&home, tampering).await;
        let (whole, words) = verify(&home).await;
        assert!(!whole, "{} goes unnoticed: {words}", tampering.sqlite);
        assert!(words.contains("broken at record"), "{words}");
    }
}

/// The trail names who and what, and never what was in it.
#[tokio::test]
async fn no_value_is_in_the_trail() {
    let home = after_a_run().await;
    let trail = home.audit_bodies().await.concat();
    assert!(trail.contains("u-nurse") && trail.contains(MEMBER), "{trail}");
    for value in ["Oakenshaw", "AETNA12345", "Harbor PPO", "1987-03-09"] {
        assert!(!trail.contains(value), "{value} is in the trail");
    }
}

#[cfg(feature = "failpoints")]
mod stalled {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::harness::{CHECK, Options, Server, code, soon};

    /// The trail takes nothing at all.
    const AT_ONCE: &str = "audit.before-commit=pause";

    /// The trail takes the record that a subscription began, and then nothing more.
    const AFTER_ONE: &str = "audit.before-commit=1*off->pause";

    const CHANNEL: &str = "/members/m-1001/**";

    /// Than the trail is waited for.
    const LONGER: Duration = Duration::from_secs(7);

    /// What an event of the check has in it, and nothing else that is sent.
    const EVENT: [&str; 4] = ["Harbor PPO", "ANSWERED", "ACCEPTED", "\"next\""];

    fn assert_nothing(bytes: &str) {
        for part in EVENT {
            assert!(!bytes.contains(part), "{part:?} left the process: {bytes}");
        }
    }

    /// A server with these faults, an answered check in its log, and a cursor before it.
    async fn with_a_check(faults: &str) -> (Server, String, String) {
        let server = gateway().await;
        let nurse = server.viewer("nurse");
        let before = nurse.now().await;
        let asked = nurse.request(question(RICH), "k-1").await;
        let id = asked["data"]["requestEligibilityCheck"]["id"].as_str().unwrap().to_owned();
        let mut ws = nurse.connect().await;
        ws.subscribe("w", WATCH, json!({ "member": MEMBER, "after": before })).await;
        while ws.next_for("w").await["data"]["memberEligibility"]["state"] != "ANSWERED" {}
        (Server::start_in(server.terminate().await, Options::failpoints(faults)).await, id, before)
    }

    #[tokio::test]
    async fn no_answer_leaves() {
        let (server, id, _) = with_a_check(AT_ONCE).await;
        let nurse = server.viewer("nurse");
        let (read, asked) = tokio::join!(
            nurse.graphql(CHECK, json!({ "id": id })),
            nurse.request(question(("60054", "AETNA9wcSu")), "k-2"),
        );
        for answer in [read, asked] {
            assert_eq!((code(&answer), &answer["data"]), ("UNAVAILABLE", &Value::Null));
            assert_nothing(&answer.to_string());
        }
        let (log, (_, metrics)) = (server.log(), server.get("/metrics").await);
        let told = |what: &str| log.matches(what).count();
        assert_eq!((told("part=\"audit\" why="), told("nothing is shown")), (1, 0), "not a line for each: {log}");
        assert!(metrics.contains("sluice_refused_total{part=\"audit\"} 2"), "{metrics}");

        // What was not shown was done all the same, and once.
        let server = Server::start_in(server.kill().await, Options::default()).await;
        let again = server.viewer("nurse").request(question(("60054", "AETNA9wcSu")), "k-2").await;
        assert_eq!(again["errors"], Value::Null);
        let count = "{ member(id: \"m-1001\") { eligibility { checks { nodes { id } } } } }";
        let all = server.graphql("nurse", count, Value::Null).await;
        assert_eq!(all["data"]["member"]["eligibility"]["checks"]["nodes"].as_array().map(Vec::len), Some(2));
    }

    #[tokio::test]
    async fn no_event_leaves_by_long_poll() {
        for faults in [AT_ONCE, AFTER_ONE] {
            let (server, _, before) = with_a_check(faults).await;
            let polled = server.poll("nurse", CHANNEL, Some(&before), LONGER).await;
            assert_nothing(&polled.to_string());

            let server = Server::start_in(server.kill().await, Options::default()).await;
            let polled = server.poll("nurse", CHANNEL, Some(&before), LONGER).await;
            assert!(polled.to_string().contains("Harbor PPO"), "it was there to be sent: {polled}");
        }
    }

    #[tokio::test]
    async fn no_event_leaves_by_websocket() {
        let (server, _, before) = with_a_check(AFTER_ONE).await;
        let mut ws = server.viewer("nurse").connect().await;
        ws.subscribe("w", WATCH, json!({ "member": MEMBER, "after": before })).await;
        soon("a delivery that is held", was_held(&server)).await;
        assert_nothing(&ws.heard().await);
    }

    async fn was_held(server: &Server) {
        let mut look = tokio::time::interval(Duration::from_millis(50));
        while !server.get("/metrics").await.1.contains("sluice_deliveries_held_total") {
            look.tick().await;
        }
    }
}
