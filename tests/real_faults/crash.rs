//! `kill -9` of gateways, relay and worker, one or two at a time, while clients go from one gateway to the other.

use futures_util::future::join_all;
use sluice_schema::position::Cursor;

use crate::{
    clients::{Clients, Door, Observed, PERSON},
    evidence,
    fault::{self, Fault},
    harness::{Options, Server, soon},
    installation::Home,
    scene::named,
};

const ROUNDS: usize = 50;

/// The seed, where the environment sets none; the rounds and their faults follow from it, their timing does not.
const SEED: u64 = 1_980;
const SEED_VARIABLE: &str = "CRASH_SEED";

/// Name and role.
const PROCESSES: [(&str, &str); 4] =
    [("gateway-a", "gateway"), ("gateway-b", "gateway"), ("relay", "relay"), ("worker", "worker")];

#[derive(Debug)]
struct Round {
    /// How long the payer takes, ms: with more than none, questions are under way at the crash.
    payer: u64,
    /// Whether clients begin at the second gateway.
    turned: bool,
    /// Which processes end, and how.
    victims: Vec<(usize, Fault)>,
}

impl Round {
    fn draw(random: &mut fastrand::Rng) -> Self {
        let mut order = [0, 1, 2, 3];
        random.shuffle(&mut order);
        let victims = order[..random.usize(1..=2)].iter().map(|process| (*process, draw(*process, random))).collect();
        Self { payer: [0, 0, 100, 1000][random.usize(0..4)], turned: random.bool(), victims }
    }

    fn failpoints(&self, process: usize) -> Option<String> {
        self.victims.iter().find(|(victim, _)| *victim == process).and_then(|(_, fault)| fault.failpoints())
    }

    fn options(&self, process: usize) -> Options {
        let latency = if self.payer == 0 { "none" } else { "fixed" };
        Options { failpoints: self.failpoints(process), ..options(process) }
            .env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__LATENCY", latency)
            .env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__FIXED_MS", &self.payer.to_string())
    }
}

/// A fault that the process can have: each passes the failpoints of what it does.
fn draw(process: usize, random: &mut fastrand::Rng) -> Fault {
    let abort = |failpoint, passes| Fault::Abort { failpoint, passes };
    let commits = random.usize(0..30);
    // At most two a second are saved, while there is something to do.
    let saves = random.usize(0..2);
    match (PROCESSES[process].1, random.usize(0..6)) {
        (_, 0 | 1) => Fault::Kill { observed: random.usize(0..150) },
        ("relay", _) => abort("relay.before-checkpoint", saves),
        (_, 2) => abort("store.before-commit", commits),
        (_, 3) => abort("store.after-commit", commits),
        ("gateway", _) => abort("audit.before-commit", commits),
        _ => abort("checkpoint.before-save", saves),
    }
}

/// Pings come often, so that clients resume from the progress that pings tell, too.
fn options(process: usize) -> Options {
    let (name, role) = PROCESSES[process];
    named(name)
        .env("SLUICE__SERVER__ROLES", role)
        .env("SLUICE__TRANSPORTS__PING_INTERVAL_MS", "20")
        .env("SLUICE__TRANSPORTS__MAX_SILENT_INTERVALS", "1000")
}

struct Cluster {
    home: Home,
    running: [Option<Server>; PROCESSES.len()],
}

impl Cluster {
    /// Until the victims of the round are gone.
    async fn round(&mut self, round: &Round, clients: &mut Clients) {
        for (process, fault) in &round.victims {
            // A failpoint is set at the start, so that there is one crash more.
            if let Some(server) = self.running[*process].take_if(|_| fault.failpoints().is_some()) {
                server.kill().await;
            }
        }
        self.start(|process| round.options(process)).await;
        let (doors, observed) = (self.doors(round.turned), Observed::default());
        let victims = round.victims.iter().filter_map(|(process, fault)| Some((self.running[*process].take()?, fault)));
        let gone = join_all(victims.map(|(server, fault)| fault.strike(server, &observed)));
        let end = async {
            tokio::select! {
                _ = gone => {}
                // Both gateways are gone, and what else was to end is killed with this.
                () = clients.run(&doors, &observed) => {}
            }
        };
        soon(&format!("the end of {round:?}"), end).await;
    }

    /// Starts what does not run.
    async fn start(&mut self, options: impl Fn(usize) -> Options) {
        let home = &self.home;
        let start = async |process: usize, slot: &mut Option<Server>| {
            if slot.is_none() {
                *slot = fault::start(home.clone(), options(process)).await.ok();
            }
        };
        join_all(self.running.iter_mut().enumerate().map(|(process, slot)| start(process, slot))).await;
    }

    fn doors(&self, turned: bool) -> Vec<Door> {
        let gateways = self.running[..2].iter().flatten().map(Door::of);
        if turned { gateways.rev().collect() } else { gateways.collect() }
    }
}

#[tokio::test]
async fn killed_in_mid_stream_nothing_is_lost_and_nothing_comes_twice() {
    let seed = std::env::var(SEED_VARIABLE).map_or(SEED, |text| text.parse().expect("a seed is a number"));
    // Shown where the test fails.
    println!("{SEED_VARIABLE}={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let first = Server::start(options(0)).await;
    let start: Cursor = first.viewer(PERSON).now().await.parse().unwrap();
    let mut cluster = Cluster { home: first.home().clone(), running: [Some(first), None, None, None] };
    let mut clients = Clients::new(&start);
    for number in 1..=ROUNDS {
        let round = Round::draw(&mut random);
        cluster.round(&round, &mut clients).await;
        println!("{number}: {round:?}; {}", clients.progress());
    }
    cluster.start(options).await;
    clients.finish(&cluster.doors(false)).await;
    for server in cluster.running.into_iter().flatten() {
        server.terminate().await;
    }

    evidence::prove(&cluster.home, &start, &clients.subscriber, clients.publisher.checks()).await;
    assert!(clients.publisher.acknowledged() > ROUNDS, "too little was asked to prove anything");
}
