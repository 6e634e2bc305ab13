//! A power cut can tear the end off the write-ahead log: what was durable before the last commit is not touched by it.

use std::{
    fs::{self, File},
    path::Path,
};

use serde_json::json;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::PERSON;
use crate::harness::{CHECK, Options, RICH, Server, question};

const CHECKS: usize = 12;

/// A WAL frame is a header of 24 bytes and a page; a commit ends with a whole one (sqlite.org/fileformat2.html, section 4.1).
const CUTS: [u64; 4] = [1, 24, 4096, 4120];

#[tokio::test]
async fn a_torn_end_of_the_log_costs_the_last_commit_and_nothing_before() {
    for cut in CUTS {
        let server = Server::start(Options::default()).await;
        let mut checks = Vec::new();
        for number in 0..CHECKS {
            checks.push(request(&server, number).await);
        }
        // One question after the other: the last acknowledgement is the one that the last commit can hold.
        let home = server.kill().await;
        let before = state(home.path()).await;
        tear(&home.data_dir().join("sluice.db-wal"), cut);
        assert!(state(home.path()).await != before, "the cut of {cut} bytes took no commit");

        let server = Server::start_in(home, Options::default()).await;
        for (number, check) in checks[..CHECKS - 1].iter().enumerate() {
            let read = server.graphql(PERSON, CHECK, json!({ "id": check })).await;
            assert_eq!(read["data"]["eligibilityCheck"]["id"], **check, "number {number}, cut {cut}: {read}");
            assert_eq!(request(&server, number).await, *check, "its key is still known");
        }
        let last = request(&server, CHECKS - 1).await;
        answered(&server, &last).await;
        server.terminate().await;
    }
}

async fn request(server: &Server, number: usize) -> String {
    let answer = server.viewer(PERSON).request(question(RICH), &format!("k-{number}")).await;
    let id = answer["data"]["requestEligibilityCheck"]["id"].as_str();
    id.unwrap_or_else(|| panic!("refused: {answer}")).to_owned()
}

/// Its first state comes at once, and the change that makes it final behind it.
async fn answered(server: &Server, check: &str) {
    let query = "subscription($id: ID!) { eligibilityCheckUpdated(id: $id) { state } }";
    let mut ws = server.viewer(PERSON).connect().await;
    ws.subscribe("check", query, json!({ "id": check })).await;
    while ws.next_for("check").await["data"]["eligibilityCheckUpdated"]["state"] == "ACCEPTED" {}
}

fn tear(wal: &Path, cut: u64) {
    let file = File::options().write(true).open(wal).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length.checked_sub(cut).expect("more was written")).unwrap();
}

/// All that the files hold: whatever the last commit was about, it is in there. Of a copy: who closes a database last moves its log
/// into it.
async fn state(home: &Path) -> Vec<u8> {
    let copy = TempDir::new().unwrap();
    for name in ["sluice.db", "sluice.db-wal"] {
        fs::copy(home.join("data").join(name), copy.path().join(name)).unwrap();
    }
    let options = SqliteConnectOptions::new().filename(copy.path().join("sluice.db"));
    let mut db = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("SELECT count(*) FROM events").execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    fs::read(copy.path().join("sluice.db")).unwrap()
}
