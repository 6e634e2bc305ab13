//! A topic that was deleted and made anew: a new epoch begins, whichever processes there are, and nobody is left behind.

use std::{process::ExitStatus, time::Duration};

use serde_json::json;

use crate::{
    clients::PERSON,
    harness::{Frame, MEMBER, Options, Server, WATCH, Ws, soon},
    installation::Home,
    parts::Topic,
    scene::{are_answered, change, insist, insist_all, keys, listen, named},
};

const BEFORE: usize = 5;

/// A gateway that nobody asks for anything looks at the topic every ten seconds, and believes what it sees twice.
const NOTICED: Duration = Duration::from_secs(60);

/// What was so before the topic was gone.
struct Before {
    epoch: Vec<u8>,
    cursor: String,
    checks: Vec<String>,
}

/// Some checks, told to somebody: they were in the topic.
async fn before(server: &Server) -> Before {
    let cursor = server.viewer(PERSON).now().await;
    let mut nurse = listen(server, "nurse").await;
    let checks = insist_all(server.viewer(PERSON), &keys("before", BEFORE)).await;
    for _ in 0..2 * BEFORE {
        change(&mut nurse).await;
    }
    Before { epoch: epoch(server.home()).await, cursor, checks }
}

async fn epoch(home: &Home) -> Vec<u8> {
    let mut db = home.database().expect("PostgreSQL").connect().await;
    sqlx::query_scalar("SELECT epoch FROM sluice.log").fetch_one(&mut db).await.unwrap()
}

fn is_no_success(status: ExitStatus, log: &str) {
    assert_eq!(status.code(), Some(1), "a supervisor is to start it again:\n{log}");
    assert!(log.contains("made anew"), "it says why:\n{log}");
}

/// Starts the process again whenever it ends, until it runs in another epoch than `old`.
async fn supervised(mut home: Home, options: Options, old: &[u8]) -> Server {
    let mut starts = 0;
    loop {
        let is_new = epoch(&home).await != old;
        starts += 1;
        assert!(starts < 5, "it ends again and again");
        home = match Server::try_start_in(home, options.clone()).await {
            Ok(server) if is_new => return server,
            Ok(mut server) => {
                is_no_success(server.ended_in(NOTICED).await, &server.log());
                server.home().clone()
            }
            Err((home, status)) => {
                assert_eq!(status.code(), Some(1));
                home
            }
        };
    }
}

/// The new epoch, as clients of all kinds meet it.
async fn serves(server: &Server, before: Before, meanwhile: Vec<String>) {
    let new = epoch(server.home()).await;
    assert_ne!(new, before.epoch);
    let earliest = expired(server, &before.cursor).await;
    let old: Vec<String> = before.checks.into_iter().chain(meanwhile).collect();
    are_answered(server, &old).await;

    let mut from_earliest = server.viewer("nurse").connect().await;
    from_earliest.subscribe("w", WATCH, json!({ "member": MEMBER, "after": earliest })).await;
    for check in &old {
        hears_of(&mut from_earliest, check).await;
    }
    let mut live = listen(server, "guardian").await;
    let check = insist(server.viewer(PERSON), "behind").await;
    hears_of(&mut from_earliest, &check).await;
    hears_of(&mut live, &check).await;
    assert_eq!(live.log().concat().matches("\"memberEligibility\"").count(), 2, "nothing old is live");

    let (records, epochs) = Topic::of(server.home()).epochs().await;
    assert_eq!(records, server.home().events().await.len(), "all is relayed anew, once");
    assert_eq!(epochs, [new].into(), "what the new topic held of the old epoch is gone");
}

/// Hears until the check is answered. Others may come before: which check is answered first is the payer's choice.
async fn hears_of(ws: &mut Ws, check: &str) {
    let is_told = |ws: &Ws| ws.log().iter().any(|text| text.contains(check) && text.contains("ANSWERED"));
    while !is_told(ws) {
        change(ws).await;
    }
}

/// A cursor of the old epoch is refused with where reading can begin.
async fn expired(server: &Server, cursor: &str) -> String {
    let mut ws = server.viewer("nurse").connect().await;
    ws.subscribe("old", WATCH, json!({ "member": MEMBER, "after": cursor })).await;
    let Frame::Error(errors) = ws.frame_for("old").await else { panic!("it is honoured: {:?}", ws.log()) };
    let polled = server.poll(PERSON, &format!("/members/{MEMBER}/**"), Some(cursor), Duration::ZERO).await;
    for extensions in [&errors[0]["extensions"], &polled["errors"][0]["extensions"]] {
        assert_eq!((&extensions["code"], &extensions["reason"]), (&json!("CURSOR_EXPIRED"), &json!("EPOCH")));
    }
    let earliest = &errors[0]["extensions"]["earliest"];
    earliest.as_str().unwrap_or_else(|| panic!("no place to begin at: {errors}")).to_owned()
}

#[tokio::test]
async fn under_a_process_that_does_everything() {
    let mut server = Server::start(named("sluice")).await;
    let before = before(&server).await;
    let topic = Topic::of(server.home());
    topic.delete().await;
    // What is acknowledged now comes to the new topic as an event of the old epoch, or not at all.
    let meanwhile = insist_all(server.viewer(PERSON), &keys("meanwhile", 3)).await;
    topic.make_anew().await;
    is_no_success(server.ended_in(NOTICED).await, &server.log());
    let server = supervised(server.home().clone(), named("sluice"), &before.epoch).await;
    serves(&server, before, meanwhile).await;
    server.terminate().await;
}

/// Else the next one would find events of an epoch that nobody knows any more.
#[tokio::test]
async fn a_shutdown_while_the_topic_is_emptied_waits_for_that() {
    let slow = Options { failpoints: Some("topic.before-empty=sleep(3000)".into()), ..named("sluice") };
    let mut server = Server::start(slow).await;
    let before = before(&server).await;
    let topic = Topic::of(server.home());
    topic.delete().await;
    let meanwhile = insist_all(server.viewer(PERSON), &keys("meanwhile", 3)).await;
    topic.make_anew().await;
    let mut look = tokio::time::interval(Duration::from_millis(10));
    let begun = async {
        while !server.log().contains("a new epoch of the log begins") {
            look.tick().await;
        }
    };
    soon("the new epoch", begun).await;
    server.signal_term().await;
    server.ended().await;
    let server = supervised(server.home().clone(), named("sluice"), &before.epoch).await;
    serves(&server, before, meanwhile).await;
    server.terminate().await;
}

/// The only process there is makes the topic itself, at its start, and can't read it.
#[tokio::test]
async fn between_two_starts_of_a_process_that_does_everything() {
    let server = Server::start(named("sluice")).await;
    let before = before(&server).await;
    let home = server.terminate().await;
    Topic::of(&home).delete().await;
    let (home, status) = match Server::try_start_in(home, named("again")).await {
        Ok(_) => panic!("it serves a topic in which the events are not"),
        Err(ended) => ended,
    };
    is_no_success(status, &std::fs::read_to_string(home.path().join("again.log")).unwrap());
    let server = supervised(home, named("again"), &before.epoch).await;
    serves(&server, before, Vec::new()).await;
    server.terminate().await;
}

/// Nobody can ask for anything once the gateways have ended: the relay finds out with nothing to relay.
#[tokio::test]
async fn under_a_gateway_and_a_relay_that_have_nothing_to_do() {
    let role = |name, role| named(name).env("SLUICE__SERVER__ROLES", role);
    let (gateway, relay) = (role("gateway", "gateway"), role("relay", "relay,worker"));
    let mut serving = Server::start(gateway.clone()).await;
    let mut relaying = Server::start_in(serving.home().clone(), relay.clone()).await;
    let before = before(&serving).await;
    let topic = Topic::of(serving.home());
    topic.delete().await;
    topic.make_anew().await;
    is_no_success(relaying.ended_in(NOTICED).await, &relaying.log());
    is_no_success(serving.ended_in(NOTICED).await, &serving.log());
    let relaying = supervised(relaying.home().clone(), relay, &before.epoch).await;
    let serving = supervised(serving.home().clone(), gateway, &before.epoch).await;
    serves(&serving, before, Vec::new()).await;
    serving.terminate().await;
    relaying.terminate().await;
}

/// One that waits for the lease was started in the old epoch: what it relayed would be of that.
#[tokio::test]
async fn a_relay_that_waited_does_not_go_on_in_the_old_epoch() {
    let active = Server::start(named("active")).await;
    let mut waiting = Server::start_in(active.home().clone(), named("waiting")).await;
    before(&active).await;
    let mut db = active.home().database().expect("PostgreSQL").connect().await;
    sqlx::query("UPDATE sluice.log SET epoch = '\\x0000000000000001'").execute(&mut db).await.unwrap();
    active.kill().await;
    let status = waiting.ended_in(NOTICED).await;
    assert_eq!(status.code(), Some(1), "{}", waiting.log());
    assert!(waiting.log().contains("a new epoch of the log has begun"), "{}", waiting.log());
}
