//! The guard over the wire: what comes for many at once is, byte by byte, what comes for each on a connection of her own that
//! nobody else is served with, rendered anew. That this in turn is what a fresh execution gives is shown where renderers can
//! be had: in the resolvers' guard, whose documents these are.

#[path = "../../resolvers/src/guard_tests/documents.rs"]
#[allow(dead_code, reason = "one root is for checks that exist")]
mod documents;
#[path = "../../resolvers/src/guard_tests/tape.rs"]
mod tape;

use serde_json::{Value, json};

use self::{
    documents::{Document, FLAGS, ROOTS},
    tape::Tape,
};
use crate::harness::{Frame, MEMBER, RICH, Server, Ws, gateway, question, soon};

const PEOPLE: [&str; 4] = ["member", "guardian", "nurse", "billing"];
const DOCUMENTS: u64 = 24;
/// A request and its answer: two events each, and of a check's watchers each sees the one that holds the state.
const EVENTS: [usize; 2] = [4, 2];
const REQUESTS: usize = 3;

struct Asked {
    id: String,
    query: String,
    variables: Value,
    /// How many events each request makes for it.
    events: usize,
}

fn asked(seed: u64, after: &str) -> Asked {
    let mut random = fastrand::Rng::with_seed(seed);
    let choices: Vec<u8> = (0..120).map(|_| random.u8(..)).collect();
    let (root, at) = if seed.is_multiple_of(3) { (1, MEMBER.into()) } else { (0, format!("/members/{MEMBER}/**")) };
    let document = Document::random(&ROOTS[root], &at, true, Tape::new(&choices));
    let mut variables = json!({ "after": after });
    if document.at_variable {
        variables["at"] = at.into();
    }
    document.flags.iter().for_each(|flag| variables[FLAGS[*flag]] = random.bool().into());
    Asked { id: format!("d{seed}"), query: document.query, variables, events: EVENTS[root] }
}

/// The frames of one operation as they came, once there are `count` more.
async fn frames(ws: &mut Ws, Asked { id, query, .. }: &Asked, count: usize) -> Vec<String> {
    for _ in 0..count {
        let frame = ws.frame_for(id).await;
        assert!(matches!(frame, Frame::Next(_)), "{query}: {frame:?}");
    }
    raw(ws, id)
}

fn raw(ws: &Ws, id: &str) -> Vec<String> {
    let head = format!(r#"{{"id":"{id}","type":"next","#);
    ws.log().iter().filter(|frame| frame.starts_with(&head)).cloned().collect()
}

async fn poll(server: &Server, person: &str, after: &str, wait: &str) -> String {
    let channel = format!("/members/{MEMBER}/**");
    let query = [("channel", channel.as_str()), ("after", after), ("wait", wait)];
    let request = server.http.get(server.url("/events")).bearer_auth(server.token(person)).query(&query);
    soon("a poll", async { request.send().await?.text().await }).await.expect("the server answers")
}

/// Everybody at once, on two connections each.
async fn together(server: &Server, asked: &[Asked]) -> Vec<(&'static str, Ws)> {
    let mut all = Vec::new();
    for person in PEOPLE.iter().cycle().take(2 * PEOPLE.len()) {
        let mut ws = server.viewer(person).connect().await;
        for Asked { id, query, variables, .. } in asked {
            ws.subscribe(id, query, variables.clone()).await;
        }
        all.push((*person, ws));
    }
    all
}

#[tokio::test]
async fn over_the_wire_each_gets_the_bytes_that_she_gets_alone() {
    let server = gateway().await;
    let start = server.viewer("nurse").now().await;
    let asked: Vec<_> = (0..DOCUMENTS).map(|seed| asked(seed, &start)).collect();
    let mut together = together(&server, &asked).await;
    for number in 1..=REQUESTS {
        server.viewer("nurse").request(question(RICH), &format!("k-{number}")).await;
        // By the second request all are served by the shard, together.
        for (_, ws) in &mut together {
            for asked in &asked {
                frames(ws, asked, asked.events).await;
            }
        }
    }
    let mut compared = 0;
    for person in PEOPLE {
        for asked in &asked {
            let Asked { id, query, variables, events } = asked;
            let mut ws = server.viewer(person).connect().await;
            ws.subscribe(id, query, variables.clone()).await;
            let alone = frames(&mut ws, asked, events * REQUESTS).await;
            for (_, ws) in together.iter().filter(|(other, _)| *other == person) {
                assert_eq!(raw(ws, id), alone, "{person}: {query}");
                compared += alone.len();
            }
        }
    }
    assert!(compared > 1000, "{compared}: there was something to compare");
}

#[tokio::test]
async fn long_polls_that_wait_together_get_the_bytes_that_each_gets_alone() {
    let server = gateway().await;
    let start = server.viewer("nurse").now().await;
    let waiting = futures_util::future::join_all(PEOPLE.iter().map(|person| poll(&server, person, &start, "15")));
    let ask = async {
        // The polls are sent first; one that comes late gets its events all the same.
        server.viewer("nurse").request(question(RICH), "k-1").await
    };
    let (together, _) = tokio::join!(waiting, ask);
    for (person, body) in PEOPLE.iter().zip(together) {
        let events =
            body.strip_prefix(r#"{"events":["#).and_then(|rest| rest.rsplit_once("],\"cursor\"")).expect(&body).0;
        let alone = poll(&server, person, &start, "0").await;
        assert!(!events.is_empty() && alone.contains(events), "{person}: {body} / {alone}");
    }
}
