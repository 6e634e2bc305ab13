//! The figures, as a table that can be put into docs/benchmarks.md.

use std::time::Duration;

use crate::{
    figures::{Latencies, Spread},
    installation::on_real_parts,
    plan::{PAYER, Plan},
    round::Round,
    server,
};

/// What acknowledgement and append → client are to stay under at P99, milliseconds: embedded, and on the real parts.
const EMBEDDED: [f64; 2] = [10.0, 10.0];
const REAL: [f64; 2] = [25.0, 30.0];

type Of = fn(&Round) -> &Latencies;

const ROWS: [(&str, Of); 11] = [
    ("**acknowledgement**: request due → answer", |round| &round.load.figures.acknowledgement),
    ("**append → client**: `occurredAt` → arrival, all events", |round| &round.load.figures.appended),
    ("… of these, that a check was accepted", |round| &round.load.figures.appended_accepted),
    ("… of these, the payer's answer", |round| &round.load.figures.appended_answered),
    ("request due → ACCEPTED at the subscriber", |round| &round.load.figures.request_to_accepted),
    ("request due → ANSWERED at the subscriber", |round| &round.load.figures.request_to_answered),
    ("another service's event: produced to Kafka → client", |round| &round.load.figures.published),
    ("instead, a call that waits: request due → answer", |round| &round.baselines.synchronous),
    ("instead, polling each second: `completedAt` → noticed", |round| &round.baselines.noticed),
    ("the generator's lateness (part of the first figure)", |round| &round.load.late),
    ("the disk alone: 4 KiB + fdatasync, no load", |round| &round.disk),
];

pub(crate) fn one_line(round: &Round) -> String {
    let figure = |latencies: &Latencies| format!("p50 {:.2} p99 {:.2} ms", latencies.at(0.5), latencies.at(0.99));
    let (acknowledgement, appended) =
        (figure(&round.load.figures.acknowledgement), figure(&round.load.figures.appended));
    let load = &round.load_average;
    format!("acknowledgement {acknowledgement}; append → client {appended}; load average before it {load}")
}

pub(crate) fn print(plan: &Plan, rounds: &[Round], took: Duration) {
    let seconds = |time: Duration| time.as_secs();
    println!(
        "{} rounds; in each {} checks/s, {} s measured after {} s, the payer takes {} s; {} s in all\n",
        rounds.len(),
        plan.rate,
        seconds(plan.measured),
        seconds(plan.warm_up),
        seconds(PAYER),
        seconds(took),
    );
    println!("| milliseconds, median of the rounds (min–max) | p50 | p99 | max | samples |");
    println!("| --- | --- | --- | --- | --- |");
    for (name, of) in ROWS.into_iter().filter(|(_, of)| rounds.iter().any(|round| of(round).count() > 0)) {
        println!("{}", row(name, rounds, of));
    }
    println!();
    print_usage(rounds);
    print_ratios(rounds);
    print_goals(rounds);
}

fn row(name: &str, rounds: &[Round], of: Of) -> String {
    let spread = |figure: fn(&Latencies) -> f64| spread(rounds, |round| figure(of(round))).text();
    let samples: u64 = rounds.iter().map(|round| of(round).count()).sum();
    let (p50, p99) = (spread(|latencies| latencies.at(0.5)), spread(|latencies| latencies.at(0.99)));
    format!("| {name} | {p50} | {p99} | {} | {samples} |", spread(Latencies::max))
}

fn spread(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> Spread {
    Spread::of(rounds.iter().map(figure))
}

fn print_usage(rounds: &[Round]) {
    let pushed = spread(rounds, |round| 1000.0 * round.load.usage.cpu_seconds / round.load.checks as f64);
    let polled = spread(rounds, |round| 1000.0 * round.baselines.cpu_seconds / round.baselines.checks as f64);
    let polls = spread(rounds, |round| round.baselines.polls as f64 / round.baselines.checks as f64);
    let (cpu, memory) =
        (spread(rounds, |round| round.load.usage.cpu_seconds), spread(rounds, |round| round.load.usage.resident_mib));
    let checks: usize = rounds.iter().map(|round| round.load.checks).sum();
    let events: usize = rounds.iter().map(|round| round.load.events).sum();
    println!(
        "The server's CPU time under load, seconds per round: {}; resident at its end, MiB: {}",
        cpu.text(),
        memory.text()
    );
    println!(
        "The server's CPU time per check, ms: pushed {}, polled {} ({} polls)",
        pushed.text(),
        polled.text(),
        polls.text()
    );
    println!("Each of {checks} checks arrived once as accepted and once as answered, in {events} events");
    if let Ok(own) = server::usage("self") {
        println!("The clients' own CPU time, on the same cores, seconds in all: {:.2}", own.cpu_seconds);
    }
}

/// In the same round, so that both sides had the same machine.
fn print_ratios(rounds: &[Round]) {
    let held = spread(rounds, |round| round.baselines.synchronous.at(0.5) / round.load.figures.acknowledgement.at(0.5));
    let told = spread(rounds, |round| round.baselines.noticed.at(0.5) / round.load.figures.appended_answered.at(0.5));
    println!("A call that waits holds its caller {} times as long (p50)", held.text());
    println!("One who polls hears of the answer {} times as late (p50)", told.text());
}

fn print_goals(rounds: &[Round]) {
    let goals = if on_real_parts() { REAL } else { EMBEDDED };
    for ((name, of), goal) in ROWS.iter().zip(goals) {
        let p99 = spread(rounds, |round| of(round).at(0.99)).median;
        let verdict = if p99 <= goal { "met".to_owned() } else { format!("missed by {:.2} ms", p99 - goal) };
        println!("Goal, p99 at most {goal:.0} ms, {}: {p99:.2} ms, {verdict}", name.replace('*', ""));
    }
}
