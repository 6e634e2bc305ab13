//! A gateway, somebody who listens at it, and people who ask and do not give up.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt, future::join_all, stream};
use serde_json::{Value, json};
use sluice_schema::position::Cursor;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::{
    clients::{Door, Observed, PERSON, Subscriber},
    evidence,
    harness::{DEADLINE, MEMBER, Options, RICH, Server, Viewer, WATCH, Ws, question, soon},
};

/// What follows a fault may take this long altogether; only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(90);

/// How soon somebody who was told UNAVAILABLE asks again.
const AGAIN: Duration = Duration::from_millis(100);

/// One of several processes of an installation.
pub(crate) fn named(name: &'static str) -> Options {
    Options { name, ..Options::default() }
}

/// Clients that do not answer to pings stay connected: there are fewer pings than that.
pub(crate) fn options() -> Options {
    Options::default()
        .env("SLUICE__TRANSPORTS__PING_INTERVAL_MS", "200")
        .env("SLUICE__TRANSPORTS__MAX_SILENT_INTERVALS", "100000")
}

pub(crate) struct Scene {
    pub(crate) server: Server,
    start: Cursor,
    subscriber: Subscriber,
}

impl Scene {
    pub(crate) async fn set(options: Options) -> Self {
        let server = Server::start(options).await;
        let start = server.viewer(PERSON).now().await.parse().unwrap();
        Self { server, subscriber: Subscriber::new(&start), start }
    }

    /// Runs `act`, which asks for so many checks in all and gives their ids, while somebody listens. Then what was heard is
    /// held against what happened.
    pub(crate) async fn play(mut self, checks: usize, act: impl AsyncFnOnce(&Server, &Observed) -> Vec<String>) {
        let (doors, observed) = ([Door::of(&self.server)], Observed::default());
        let watch = self.subscriber.watch(&doors, &observed, 2 * checks);
        // Its own steps have deadlines, and say what they wait for.
        let (watched, asked) = tokio::join!(timeout(PATIENCE, watch), Box::pin(act(&self.server, &observed)));
        if watched.is_err() {
            eprintln!("not all answers were seen: the evidence will say which");
        }
        let ids: BTreeSet<&str> = asked.iter().map(String::as_str).collect();
        assert_eq!((ids.len(), asked.len()), (checks, checks), "each key has a check of its own: {asked:?}");
        evidence::prove(self.server.home(), &self.start, &self.subscriber, ids).await;
        self.server.terminate().await;
    }
}

/// Keys, told from others by their prefix.
pub(crate) fn keys(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number}")).collect()
}

/// Asks until there is a check, as a client does: with the same key, whenever the answer was UNAVAILABLE. The check's id.
pub(crate) async fn insist(viewer: Viewer<'_>, key: &str) -> String {
    let mut again = interval(AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let acknowledged = async {
        loop {
            again.tick().await;
            if let Some(check) = acknowledged(&viewer.request(question(RICH), key).await) {
                return check;
            }
        }
    };
    timeout(PATIENCE, acknowledged).await.unwrap_or_else(|_| panic!("{key} was not acknowledged in {PATIENCE:?}"))
}

/// Many at once, each with a key of its own.
pub(crate) async fn insist_all(viewer: Viewer<'_>, keys: &[String]) -> Vec<String> {
    join_all(keys.iter().map(|key| insist(viewer, key))).await
}

/// So many writers at the same time, who share the keys.
pub(crate) async fn insist_by(writers: usize, viewer: Viewer<'_>, keys: &[String]) -> Vec<String> {
    stream::iter(keys).map(|key| insist(viewer, key)).buffer_unordered(writers).collect().await
}

/// The check's id; `None` where the answer is UNAVAILABLE.
///
/// # Panics
/// It is anything else.
pub(crate) fn acknowledged(answer: &Value) -> Option<String> {
    let id = answer["data"]["requestEligibilityCheck"]["id"].as_str();
    let unavailable = answer["errors"][0]["extensions"]["code"] == "UNAVAILABLE";
    assert!(id.is_some() != unavailable, "neither acknowledged nor UNAVAILABLE: {answer}");
    id.map(str::to_owned)
}

/// All are told UNAVAILABLE. So many at a time.
pub(crate) async fn are_refused(viewer: Viewer<'_>, keys: &[String], at_once: usize) {
    let answers = stream::iter(keys).map(|key| viewer.request(question(RICH), key)).buffer_unordered(at_once);
    let answers: Vec<Value> = answers.collect().await;
    for answer in &answers {
        assert_eq!(acknowledged(answer), None, "{answer}");
    }
}

/// Waits until `/readyz` names these parts; none: until it names nothing at all.
pub(crate) async fn names_as_away(server: &Server, parts: &[&str]) {
    let mut look = interval(AGAIN);
    let mut last = Value::Null;
    let named = async {
        loop {
            look.tick().await;
            let (_, text) = server.get("/readyz").await;
            last = serde_json::from_str(&text).unwrap();
            let degraded = last["degraded"].as_object().expect("it names parts");
            if parts.iter().all(|part| degraded.contains_key(*part)) && degraded.is_empty() == parts.is_empty() {
                return;
            }
        }
    };
    let named = timeout(DEADLINE, named).await;
    assert!(named.is_ok(), "{parts:?} are to be named, and it is {last}");
}

/// A demo person who watches the member's checks, from now on.
pub(crate) async fn listen(server: &Server, person: &str) -> Ws {
    let after = server.viewer(PERSON).now().await;
    let mut ws = server.viewer(person).connect().await;
    ws.subscribe("w", WATCH, json!({ "member": MEMBER, "after": after })).await;
    ws.ping().await;
    ws
}

/// The next change that a listener is told of. Pings that come meanwhile do not count.
pub(crate) async fn change(ws: &mut Ws) -> Value {
    soon("a check's change", ws.next_for("w")).await["data"]["memberEligibility"].take()
}

/// How many changes of checks a listener was told of, up to now.
pub(crate) async fn changes(ws: &mut Ws) -> usize {
    ws.heard().await.matches("\"memberEligibility\"").count()
}

/// Waits until there is an event that a subscriber can't be given now.
pub(crate) async fn has_held(server: &Server) {
    let mut look = interval(AGAIN);
    loop {
        look.tick().await;
        let (_, metrics) = server.get("/metrics").await;
        if metrics.lines().any(|line| line.starts_with("sluice_deliveries_held_total ")) {
            return;
        }
    }
}

/// Waits until the store has an answer for each check, whoever is told of it.
pub(crate) async fn are_answered(server: &Server, checks: &[String]) {
    const STATE: &str = "query($id: ID!) { eligibilityCheck(id: $id) { state } }";
    let mut look = interval(AGAIN);
    for check in checks {
        let answered = async {
            loop {
                look.tick().await;
                let read = server.graphql(PERSON, STATE, json!({ "id": check })).await;
                if read["data"]["eligibilityCheck"]["state"] == "ANSWERED" {
                    return;
                }
            }
        };
        soon(&format!("the answer of {check}"), answered).await;
    }
}

/// What was refused, `least` times and more, has one line that says that it begins and one that it is over. Not before
/// everybody has been answered for a moment, so somebody asks.
pub(crate) async fn tells_once(server: &Server, part: &str, least: u64, check: &str) {
    let (begins, over) = (format!("part=\"{part}\" why="), format!("part=\"{part}\" refused="));
    let told = async {
        while !server.log().contains(&over) {
            are_answered(server, std::slice::from_ref(&check.to_owned())).await;
        }
    };
    soon("the end of the outage in the log", told).await;
    let log = server.log();
    let lines = |of: &str| log.lines().filter(|line| line.contains(of)).collect::<Vec<_>>();
    assert_eq!((lines(&begins).len(), lines(&over).len()), (1, 1), "{log}");
    let refused = lines(&over)[0].rsplit_once("refused=").expect("it is in it").1;
    let refused: u64 = refused.trim().parse().unwrap();
    assert!(refused >= least, "{refused} of {least} were counted");
    let (_, metrics) = server.get("/metrics").await;
    let counted =
        metrics.lines().find_map(|line| line.strip_prefix(&format!("sluice_refused_total{{part=\"{part}\"}} ")));
    assert!(counted.is_some_and(|count| count.parse::<u64>().unwrap() >= refused), "{metrics}");
    let loud = log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).count();
    assert!(loud < 50, "{loud} lines of warnings:\n{log}");
}
