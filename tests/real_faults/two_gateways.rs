//! Two processes on one installation: one log, one set of keys and cursors.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use prost::Message;
use serde_json::{Value, json};
use sluice_schema::{position::Cursor, proto::header::Header};

use crate::{
    clients::{Clients, Door, Observed, PERSON},
    evidence,
    harness::{MEMBER, Options, RICH, Server, WATCH, Ws, code, cursor, question, soon},
    scene::{insist_all, keys, named},
};

/// A card that no payer answers: the check stays ACCEPTED.
const UNANSWERED: (&str, &str) = ("SLUICE", "NEVER");

/// Where the subscriber changes sides, and how often.
const SEED: u64 = 71;
const CUTS: usize = 20;

/// Both do everything.
async fn both(options: impl Fn(&'static str) -> Options) -> [Server; 2] {
    let a = Server::start(options("a")).await;
    let b = Server::start_in(a.home().clone(), options("b")).await;
    [a, b]
}

async fn watch(server: &Server, after: &str) -> Ws {
    let mut ws = server.viewer("nurse").connect().await;
    ws.subscribe("w", WATCH, json!({ "member": MEMBER, "after": after })).await;
    ws
}

/// The next change: the check's id, and its state.
async fn change(ws: &mut Ws) -> (String, String) {
    told(&soon("a check's change", ws.next_for("w")).await)
}

fn told(payload: &Value) -> (String, String) {
    let text = |name: &str| payload["data"]["memberEligibility"][name].as_str().expect("it may be seen").to_owned();
    (text("id"), text("state"))
}

fn id<'a>(answer: &'a Value, mutation: &str) -> &'a str {
    answer["data"][mutation]["id"].as_str().unwrap_or_else(|| panic!("refused: {answer}"))
}

#[tokio::test]
async fn both_push_the_same_event_whoever_it_came_through() {
    let gateways = both(named).await;
    let start = gateways[0].viewer("nurse").now().await;
    let mut watching = [watch(&gateways[0], &start).await, watch(&gateways[1], &start).await];
    for (number, asked_at) in [0, 1, 0, 1].into_iter().enumerate() {
        let answer = gateways[asked_at].viewer("nurse").request(question(RICH), &format!("k-{number}")).await;
        let check = id(&answer, "requestEligibilityCheck").to_owned();
        for state in ["ACCEPTED", "ANSWERED"] {
            for ws in &mut watching {
                assert_eq!(change(ws).await, (check.clone(), state.to_owned()));
            }
        }
    }
}

#[tokio::test]
async fn every_cursor_of_one_continues_on_the_other() {
    const CHECKS: usize = 10;
    let gateways = both(named).await;
    let start = gateways[0].viewer("nurse").now().await;
    insist_all(gateways[0].viewer("nurse"), &keys("k", CHECKS)).await;
    let mut told_by = Vec::new();
    for gateway in &gateways {
        let mut ws = watch(gateway, &start).await;
        let mut payloads = Vec::new();
        for _ in 0..2 * CHECKS {
            payloads.push(ws.next_for("w").await);
        }
        told_by.push(payloads);
    }
    for (here, there) in [(0, 1), (1, 0)] {
        for (number, payload) in told_by[here].iter().enumerate().take(2 * CHECKS - 1) {
            let mut ws = watch(&gateways[there], cursor(payload)).await;
            for expected in &told_by[here][number + 1..] {
                assert_eq!(change(&mut ws).await, told(expected), "behind the {number}th of {here}, on {there}");
            }
        }
    }
}

/// As phones do that move between networks.
#[tokio::test]
async fn a_subscriber_that_goes_to_and_fro_under_load_misses_nothing_and_hears_nothing_twice() {
    let noisy = |name| {
        named(name)
            .env("SLUICE__TRANSPORTS__PING_INTERVAL_MS", "20")
            .env("SLUICE__TRANSPORTS__MAX_SILENT_INTERVALS", "1000")
    };
    let gateways = both(noisy).await;
    let doors = [Door::of(&gateways[0]), Door::of(&gateways[1])];
    let start: Cursor = gateways[0].viewer(PERSON).now().await.parse().unwrap();
    let Clients { mut publisher, mut subscriber } = Clients::new(&start);
    let mut random = fastrand::Rng::with_seed(SEED);
    let cuts = async {
        for number in 0..CUTS {
            let (observed, enough) = (Observed::default(), random.usize(1..60));
            let side = &doors[number % 2..=number % 2];
            tokio::select! {
                () = subscriber.watch(side, &observed, usize::MAX) => panic!("the gateway is gone"),
                () = soon("the stream", observed.reaches(enough)) => {}
            }
        }
    };
    let asked = Observed::default();
    tokio::select! {
        () = publisher.ask(&doors, &asked, usize::MAX) => panic!("the gateways are gone"),
        () = cuts => {}
    }
    let mut clients = Clients { publisher, subscriber };
    clients.finish(&doors).await;
    evidence::prove(gateways[0].home(), &start, &clients.subscriber, clients.publisher.checks()).await;
}

#[tokio::test]
async fn the_cursor_of_a_mutations_answer_holds_on_the_other_at_once() {
    let gateways = both(named).await;
    for number in 0..20 {
        let (here, there) = (&gateways[number % 2], &gateways[1 - number % 2]);
        let accepted = here.viewer("nurse").request(question(UNANSWERED), &format!("k-{number}")).await;
        let mut ws = watch(there, cursor(&accepted)).await;
        let check = id(&accepted, "requestEligibilityCheck");
        here.viewer("nurse").cancel(check).await;
        assert_eq!(change(&mut ws).await, (check.to_owned(), "CANCELLED".to_owned()), "number {number}");
    }
}

/// Nothing is relayed yet: the topic is behind all that was acknowledged.
#[tokio::test]
async fn a_cursor_ahead_of_the_topic_waits_for_it_and_is_told_nothing_again() {
    let gateway = Server::start(named("gateway").env("SLUICE__SERVER__ROLES", "gateway,worker")).await;
    let nurse = gateway.viewer("nurse");
    let start = nurse.now().await;
    let accepted = nurse.request(question(UNANSWERED), "k-1").await;
    let (mut ahead, mut behind) = (watch(&gateway, cursor(&accepted)).await, watch(&gateway, &start).await);
    nurse.cancel(id(&accepted, "requestEligibilityCheck")).await;
    for ws in [&mut ahead, &mut behind] {
        assert!(!ws.heard().await.contains("memberEligibility"), "it is not in the topic: {:?}", ws.log());
    }

    let _relay = Server::start_in(gateway.home().clone(), named("relay").env("SLUICE__SERVER__ROLES", "relay")).await;
    assert_eq!(change(&mut behind).await.1, "ACCEPTED");
    for ws in [&mut ahead, &mut behind] {
        assert_eq!(change(ws).await.1, "CANCELLED");
    }
}

#[tokio::test]
async fn one_key_at_both_at_once_is_one_check() {
    const KEYS: usize = 20;
    let gateways = both(named).await;
    let mut checks = BTreeSet::new();
    for key in keys("k", KEYS) {
        let [a, b] = gateways.each_ref().map(|gateway| gateway.viewer("nurse"));
        let (a, b) = tokio::join!(a.request(question(RICH), &key), b.request(question(RICH), &key));
        assert_eq!(id(&a, "requestEligibilityCheck"), id(&b, "requestEligibilityCheck"), "{key}");
        checks.insert(id(&a, "requestEligibilityCheck").to_owned());
    }
    assert_eq!(checks.len(), KEYS);
    let events = gateways[0].home().events().await;
    let types = events.iter().map(|(.., header)| Header::decode(header.as_slice()).unwrap().r#type);
    assert_eq!(types.filter(|name| name.ends_with(".EligibilityCheckRequested")).count(), KEYS);
}

/// The one that is killed is the one that asks payers: it was there first.
#[tokio::test]
async fn either_may_die_and_what_it_had_asked_is_answered_all_the_same() {
    const CHECKS: usize = 5;
    let slow = |name| {
        named(name)
            .env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__LATENCY", "fixed")
            .env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__FIXED_MS", "1000")
    };
    let [mut dies, mut stays] = both(slow).await;
    let start = stays.viewer("nurse").now().await;
    let mut ws = watch(&stays, &start).await;
    for (round, name) in ["a", "b"].into_iter().enumerate() {
        soon("the active one", is_active(&dies)).await;
        let asked = insist_all(dies.viewer("nurse"), &keys(&format!("round-{round}"), CHECKS)).await;
        let home = dies.kill().await;
        let mut answered = BTreeSet::new();
        while answered.len() < CHECKS {
            let (check, state) = change(&mut ws).await;
            if state == "ANSWERED" {
                assert!(answered.insert(check), "it is told once");
            }
        }
        assert_eq!(answered, asked.into_iter().collect());
        let again = Server::start_in(home, slow(name)).await;
        (dies, stays) = (stays, again);
        ws = watch(&stays, &dies.viewer("nurse").now().await).await;
    }
}

/// Security staff is at one, the sessions are at both.
#[tokio::test]
async fn what_one_revokes_both_end() {
    /// What docs/operate.md promises.
    const BOUND: Duration = Duration::from_secs(1);
    const REVOKE: &str = "mutation { revokeTokens(input: { userId: \"u-nurse\" }) { userId } }";
    let gateways = both(named).await;
    let start = gateways[0].viewer("nurse").now().await;
    let mut watching = [watch(&gateways[0], &start).await, watch(&gateways[1], &start).await];
    let mut guardian = gateways[1].viewer("guardian").connect().await;
    let answer = gateways[0].viewer("security").graphql(REVOKE, Value::Null).await;
    assert_eq!(answer["data"]["revokeTokens"]["userId"], "u-nurse", "{answer}");
    let acknowledged = Instant::now();
    for ws in &mut watching {
        let close = ws.closed().await.expect("with a close frame");
        assert_eq!(u16::from(close.code), 4403);
    }
    let elapsed = acknowledged.elapsed();
    assert!(elapsed < BOUND, "the other took {elapsed:?}");
    println!("the other node's session ended {elapsed:?} after the answer");
    for gateway in &gateways {
        let refused = gateway.viewer("nurse").graphql("{ member(id: \"m-1001\") { id } }", Value::Null).await;
        assert_eq!(code(&refused), "UNAUTHENTICATED");
    }
    guardian.ping().await;
    // One that starts later knows it too.
    let later = Server::start_in(gateways[0].home().clone(), named("c")).await;
    let refused = later.with_token(gateways[0].token("nurse")).graphql("{ __typename }", Value::Null).await;
    assert_eq!(code(&refused), "UNAUTHENTICATED");
}

/// Whether it asks payers now.
async fn is_active(server: &Server) {
    let mut look = tokio::time::interval(Duration::from_millis(50));
    while !server.log().contains("this node is the active one") {
        look.tick().await;
    }
}
