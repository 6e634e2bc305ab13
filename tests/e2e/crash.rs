//! `kill -9` in mid-stream: what was acknowledged stays, and what is streamed comes once and in order.
#![allow(clippy::unwrap_used, reason = "a test suite")]

mod clients;
mod embedded;
mod evidence;
mod fault;

use sluice_schema::position::Cursor;

use self::{
    clients::{Clients, Door, Observed, PERSON},
    fault::Fault,
};
use crate::{
    harness::{Options, Server, soon},
    installation::Home,
};

const ROUNDS: usize = 50;

/// The seed, where the environment sets none; the rounds and their faults follow from it, their timing does not.
const SEED: u64 = 1_980;
const SEED_VARIABLE: &str = "CRASH_SEED";

/// A life of the server, and how it ends.
#[derive(Debug)]
struct Round {
    /// How long the payer takes, ms: with more than none, questions are under way at the crash.
    payer: u64,
    fault: Fault,
}

impl Round {
    fn draw(random: &mut fastrand::Rng) -> Self {
        let payer = [0, 0, 100, 1000][random.usize(0..4)];
        Self { payer, fault: draw(random) }
    }

    fn options(&self) -> Options {
        let latency = if self.payer == 0 { "none" } else { "fixed" };
        let options = Options { failpoints: self.fault.failpoints(), ..options() };
        options
            .env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__LATENCY", latency)
            .env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__FIXED_MS", &self.payer.to_string())
    }
}

fn draw(random: &mut fastrand::Rng) -> Fault {
    let abort = |failpoint, passes| Fault::Abort { failpoint, passes };
    match random.usize(0..10) {
        0..3 => Fault::Kill { observed: random.usize(0..60) },
        // Long enough for checkpoints.
        3 => Fault::Kill { observed: random.usize(60..400) },
        4 | 5 => abort("store.before-commit", random.usize(0..30)),
        6 | 7 => abort("store.after-commit", random.usize(0..30)),
        8 => abort("audit.before-commit", random.usize(0..30)),
        // At most two a second are saved, while there is something to do.
        _ => abort("checkpoint.before-save", random.usize(0..2)),
    }
}

/// Pings come often, so that clients resume from the progress that pings tell, too.
fn options() -> Options {
    Options::default()
        .env("SLUICE__TRANSPORTS__PING_INTERVAL_MS", "20")
        .env("SLUICE__TRANSPORTS__MAX_SILENT_INTERVALS", "1000")
}

/// One life of the server, up to its crash.
async fn live(clients: &mut Clients, home: Home, round: &Round) -> Home {
    let server = match fault::start(home, round.options()).await {
        Ok(server) => server,
        Err(home) => return home,
    };
    let (doors, observed) = ([Door::of(&server)], Observed::default());
    let all = async { tokio::join!(round.fault.strike(server, &observed), clients.run(&doors, &observed)) };
    soon(&format!("the crash of {round:?}"), all).await.0
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
    let mut clients = Clients::new(&start);
    for number in 1..=ROUNDS {
        let round = Round::draw(&mut random);
        home = live(&mut clients, home, &round).await;
        println!("{number}: {round:?}; {}", clients.progress());
    }
    // A life without a fault.
    let server = Server::start_in(home, options()).await;
    clients.finish(&[Door::of(&server)]).await;
    let home = server.terminate().await;

    evidence::prove(&home, &start, &clients.subscriber, clients.publisher.checks()).await;
    assert!(clients.publisher.acknowledged() > ROUNDS, "too little was asked to prove anything");
}
