//! What an event holds leaves by its answers alone: a word that is in every field of every event is in no log line, metric,
//! error, close reason, audit record or file, and in nothing that the parts keep.

mod made;
#[cfg(feature = "failpoints")]
mod panics;
mod parts;
mod plant;

use std::{fs, path::Path, sync::LazyLock, time::Duration};

use serde_json::{Value, json};

use crate::{
    harness::{MEMBER, Options, Server, Ws, code},
    installation::Home,
};

/// No other text has it, of ours or of another run on the same parts.
static WORD: LazyLock<String> = LazyLock::new(|| format!("Canary{:016x}", fastrand::u64(..)));

fn word() -> &'static str {
    &WORD
}

/// In what a payer answers, and nowhere else.
const OF_A_PAYER: [&str; 2] = ["Kestrel Boatworks", "Larkspur Mutual"];

const PEOPLE: [&str; 6] = ["member", "guardian", "nurse", "billing", "stranger", "privacy"];

const CHANNEL: &str = "/members/m-1001/**";

/// Everything that there is of a check.
const EVENTS: &str = "subscription($channel: Channel!, $after: Cursor) { events(channel: $channel, after: $after) {
    id type payload {
        ... on EligibilityCheckChanged { changed after { id state requestedBy subscriber { memberId firstName lastName }
            coverage { planName groupName otherCoverages { payerName } benefits { code name } substanceUseBenefits { name } hivBenefits { name } } } }
        ... on CoverageChanged { planName reason }
        ... on GlassBroken { userId reason }
    }
} }";

#[tokio::test]
async fn nothing_of_an_event_leaves_otherwise_than_by_an_answer() {
    let parts = parts::Watched::begin();
    let server = start(Home::new().await).await;
    let after = server.viewer("member").now().await;
    let made = made::make(&server).await;
    let home = server.terminate().await;
    let planted = plant::plant(&home).await;

    let server = start(home).await;
    let seen = watched(&server, &after, made + planted).await;
    for word in words() {
        assert!(seen.contains(word), "the member sees what is hers: {word}");
    }
    let told = provoked(&server).await;
    let (_, metrics) = server.get("/metrics").await;
    let (_, ready) = server.get("/readyz").await;
    let (log, said) = (server.log(), server.said());
    let home = server.terminate().await;
    assert!(log.contains("DEBUG"), "all that can be logged is");
    assert!(said.contains("http://"), "what it says where it begins");
    let audit = home.audit_bodies().await.join("\n");
    assert!(audit.contains(MEMBER), "the trail is there");
    for (what, text) in [
        ("what was answered to bad requests", &told),
        ("the metrics", &metrics),
        ("/readyz", &ready),
        ("the log", &log),
        ("what it said", &said),
        ("the audit trail", &audit),
    ] {
        assert_clean(what, text.as_bytes());
    }
    assert_files_clean(home.path());
    parts.assert_clean(&home, word()).await;
}

async fn start(home: Home) -> Server {
    Server::start_in(home, Options::default().env("SLUICE__TELEMETRY__LOG_FILTER", "trace")).await
}

fn words() -> impl Iterator<Item = &'static str> {
    OF_A_PAYER.into_iter().chain([word()])
}

fn assert_clean(what: &str, bytes: &[u8]) {
    for word in words() {
        let Some(at) = bytes.windows(word.len()).position(|window| window == word.as_bytes()) else { continue };
        let around = &bytes[at.saturating_sub(200)..bytes.len().min(at + 60)];
        panic!("{what} has it: …{}…", String::from_utf8_lossy(around));
    }
}

/// The databases and their journals, the signed heads, the keys.
fn assert_files_clean(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_files_clean(&path);
        } else {
            assert_clean(&path.display().to_string(), &fs::read(&path).unwrap());
        }
    }
}

/// Everybody watches everything from before it happened, on each transport. What the member got.
async fn watched(server: &Server, after: &str, events: usize) -> String {
    let mut hers = String::new();
    for person in PEOPLE {
        let viewer = server.viewer(person);
        let mut ws = viewer.connect().await;
        ws.subscribe("w", EVENTS, json!({ "channel": CHANNEL, "after": after })).await;
        let polled = viewer.poll(CHANNEL, Some(after), Duration::ZERO).await.to_string();
        if person == "member" {
            for _ in 0..events {
                ws.next_for("w").await;
            }
            hers = ws.log().concat() + &polled;
        } else {
            ws.ping().await;
        }
        let check = "query($id: ID!) { eligibilityCheck(id: $id) { id requestedBy subscriber { firstName } } }";
        viewer.graphql(check, json!({ "id": "ec-canary" })).await;
    }
    hers
}

/// Requests that can't be answered, with the word wherever one may put a value. All that was said to them.
async fn provoked(server: &Server) -> String {
    let word = word();
    let viewer = server.viewer("billing");
    let mut told = Vec::new();
    let check = "query($id: ID!) { eligibilityCheck(id: $id) { id } }";
    // What could be an id is on record as what was asked for.
    for id in [format!("{word} {word}"), format!("{word}/{word}"), format!("{word}\u{e9}")] {
        told.push(viewer.graphql(check, json!({ "id": id })).await.to_string());
    }
    let request = "mutation($input: RequestEligibilityCheckInput!) {
        requestEligibilityCheck(input: $input, idempotencyKey: \"k\") { id }
    }";
    let right = crate::harness::question(crate::harness::RICH);
    for pointer in [
        "/memberId",
        "/payerId",
        "/provider/npi",
        "/subscriber/memberId",
        "/subscriber/firstName",
        "/subscriber/dateOfBirth",
    ] {
        let mut input = right.clone();
        // Control characters are in no text that is taken.
        *input.pointer_mut(pointer).unwrap() = Value::from(format!("{word}\u{7}"));
        let answer = viewer.graphql(request, json!({ "input": input })).await;
        assert!(answer["errors"].is_array(), "{pointer}: {answer}");
        told.push(answer.to_string());
    }
    told.push(viewer.poll(&format!("/{word}//"), None, Duration::ZERO).await.to_string());
    told.push(viewer.poll(CHANNEL, Some(word), Duration::ZERO).await.to_string());
    let stranger = server.with_token(word);
    let refused = stranger.graphql(check, json!({ "id": "ec-1" })).await;
    assert_eq!(code(&refused), "UNAUTHENTICATED");
    told.push(refused.to_string());
    for text in [format!("{{\"{word}\""), format!("{{\"type\":\"{word}\"}}"), word.to_owned()] {
        let mut ws = viewer.connect().await;
        ws.say(&text).await;
        let close = ws.closed().await.expect("with a close frame");
        told.push(close.reason.to_string());
    }
    let mut ws = Ws::greet(server.subscriptions_url(), word).await;
    told.push(ws.closed().await.expect("with a close frame").reason.to_string());
    told.join("\n")
}
