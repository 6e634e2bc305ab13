//! `kill -9` in mid-stream: what was acknowledged stays, and what is streamed comes once and in order.
#![allow(clippy::unwrap_used, reason = "a test suite")]

mod embedded;
mod evidence;
mod publisher;
mod subscriber;

use std::os::unix::process::ExitStatusExt;

use sluice_schema::position::Cursor;
use tokio::{sync::watch, time::timeout};

use self::{evidence::Evidence, publisher::Publisher, subscriber::Subscriber};
use crate::{
    harness::{DEADLINE, Options, Server, run, soon},
    installation::Home,
};

const ROUNDS: usize = 50;

/// The seed, where the environment sets none; the rounds and their faults follow from it, their timing does not.
const SEED: u64 = 1_980;
const SEED_VARIABLE: &str = "CRASH_SEED";

/// What each client asks after the last crash.
const LAST_QUESTIONS: usize = 5;

/// Who asks and watches.
const PERSON: &str = "member";

const SIGABRT: i32 = 6;

/// Where one life of the server can be reached.
struct Door {
    http: reqwest::Client,
    graphql: String,
    subscriptions: String,
    token: String,
}

impl Door {
    fn of(server: &Server) -> Self {
        Self {
            http: server.http.clone(),
            graphql: server.url("/graphql"),
            subscriptions: server.subscriptions_url().to_owned(),
            token: server.token(PERSON).to_owned(),
        }
    }
}

/// How much the clients saw in this round: acknowledgements and frames.
#[derive(Default)]
struct Observed(watch::Sender<usize>);

impl Observed {
    fn one_more(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    async fn reaches(&self, count: usize) {
        self.0.subscribe().wait_for(|seen| *seen >= count).await.expect("the sender is here");
    }
}

/// A life of the server, and how it ends.
#[derive(Debug)]
struct Round {
    /// How long the payer takes, ms: with more than none, questions are under way at the crash.
    payer: u64,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    /// SIGKILL, once the clients have seen so much.
    Kill { observed: usize },
    /// The process aborts at a failpoint, after so many passes.
    Abort { failpoint: &'static str, passes: usize },
}

impl Fault {
    fn draw(random: &mut fastrand::Rng) -> Self {
        let abort = |failpoint, passes| Self::Abort { failpoint, passes };
        match random.usize(0..10) {
            0..3 => Self::Kill { observed: random.usize(0..60) },
            // Long enough for checkpoints.
            3 => Self::Kill { observed: random.usize(60..400) },
            4 | 5 => abort("store.before-commit", random.usize(0..30)),
            6 | 7 => abort("store.after-commit", random.usize(0..30)),
            8 => abort("audit.before-commit", random.usize(0..30)),
            // At most two a second are saved, while there is something to do.
            _ => abort("checkpoint.before-save", random.usize(0..2)),
        }
    }
}

impl Round {
    fn draw(random: &mut fastrand::Rng) -> Self {
        let payer = [0, 0, 100, 1000][random.usize(0..4)];
        Self { payer, fault: Fault::draw(random) }
    }

    fn options(&self) -> Options {
        let failpoints = match &self.fault {
            Fault::Kill { .. } => None,
            Fault::Abort { failpoint, passes } => Some(format!("{failpoint}={passes}*off->return")),
        };
        let latency = if self.payer == 0 { "none" } else { "fixed" };
        let options = Options { failpoints, ..options() };
        options
            .env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__LATENCY", latency)
            .env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__FIXED_MS", &self.payer.to_string())
    }
}

/// Pings come often, so that clients resume from the progress that pings tell, too.
fn options() -> Options {
    Options::default()
        .env("SLUICE__TRANSPORTS__PING_INTERVAL_MS", "20")
        .env("SLUICE__TRANSPORTS__MAX_SILENT_INTERVALS", "1000")
}

struct Clients {
    publisher: Publisher,
    subscriber: Subscriber,
}

impl Clients {
    /// One life of the server, up to its crash.
    async fn round(&mut self, home: Home, round: &Round) -> Home {
        let server = match Server::try_start_in(home, round.options()).await {
            Ok(server) => server,
            Err((home, status)) => {
                // A failpoint can be passed before the port is open: what the last crash left is taken up at once.
                assert_eq!(status.signal(), Some(SIGABRT), "ended with {status} before it was ready: {round:?}");
                return home;
            }
        };
        let (door, observed) = (Door::of(&server), Observed::default());
        let crash = async {
            match &round.fault {
                Fault::Kill { observed: count } => {
                    observed.reaches(*count).await;
                    server.kill().await
                }
                Fault::Abort { .. } => server.crashed().await,
            }
        };
        let all = async {
            tokio::join!(
                crash,
                self.publisher.ask(&door, &observed, usize::MAX),
                self.subscriber.watch(&door, &observed, usize::MAX),
            )
        };
        soon(&format!("the crash of {round:?}"), all).await.0
    }

    /// A life without a fault, until everything that was asked is answered, and seen to be.
    async fn finish(&mut self, home: Home) -> Home {
        let server = Server::start_in(home, options()).await;
        let (door, observed) = (Door::of(&server), Observed::default());
        soon("the last acknowledgements", self.publisher.ask(&door, &observed, LAST_QUESTIONS)).await;
        let all_answered = self.subscriber.watch(&door, &observed, 2 * self.publisher.acknowledged());
        if timeout(DEADLINE, all_answered).await.is_err() {
            eprintln!("not all answers were seen: the evidence will say which");
        }
        server.terminate().await
    }
}

#[tokio::test]
async fn killed_in_mid_stream_nothing_is_lost_and_nothing_comes_twice() {
    let seed = std::env::var(SEED_VARIABLE).map_or(SEED, |text| text.parse().expect("a seed is a number"));
    // Shown where the test fails.
    println!("{SEED_VARIABLE}={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let server = Server::start(options()).await;
    let start: Cursor = server.viewer(PERSON).now().await.parse().unwrap();
    let mut home = server.kill().await;
    let mut clients = Clients { publisher: Publisher::default(), subscriber: Subscriber::new(&start) };
    for number in 1..=ROUNDS {
        let round = Round::draw(&mut random);
        home = clients.round(home, &round).await;
        let (acknowledged, frames) = (clients.publisher.acknowledged(), clients.subscriber.log.len());
        println!("{number}: {round:?}; {acknowledged} acknowledged, {frames} frames");
    }
    let home = clients.finish(home).await;

    let evidence = Evidence::read(&home, &start, &clients.subscriber.log).await;
    evidence.cursors_only_move_on();
    evidence.every_event_came_once_in_order();
    evidence.every_check_was_asked_and_answered_once(clients.publisher.checks());
    evidence.everything_delivered_was_recorded_before();
    let verified = run(&["audit", "verify"], &home).await;
    let told = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success() && told.contains("whole"), "{verified:?}");
    assert!(clients.publisher.acknowledged() > ROUNDS, "too little was asked to prove anything");
}
