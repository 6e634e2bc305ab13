//! The main path under load: how long a client waits for the acknowledgement while the payer takes ten seconds, and how long
//! an appended event takes to the client that watches. What is measured and how: docs/benchmarks.md.
//!
//! `cargo xtask bench main-path` (about four minutes), or with `--quick` one short round to see that it works. With
//! `--real` on PostgreSQL, Kafka and SpiceDB, which the command brings up.

mod baselines;
mod client;
mod disk;
mod enrollment;
mod figures;
#[allow(dead_code, unused_imports, clippy::unwrap_used, reason = "the end-to-end tests use all of it")]
#[path = "../../tests/installation/mod.rs"]
mod installation;
mod load;
mod pace;
mod plan;
mod published;
mod report;
mod round;
mod server;
mod watch;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use plan::Plan;

/// Whatever goes wrong, the program ends.
const LIMIT: Duration = Duration::from_secs(6 * 60);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` runs this as well, without the flag: that it was built is all that is wanted then.
    if !args.iter().any(|arg| arg == "--bench") {
        println!("nothing measured: run `cargo xtask bench main-path`");
        return ExitCode::SUCCESS;
    }
    let plan = if args.iter().any(|arg| arg == "--quick") { Plan::quick() } else { Plan::full() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime for the clients");
    let begun = Instant::now();
    let rounds = runtime.block_on(async { tokio::time::timeout(LIMIT, rounds(&plan)).await });
    match rounds {
        Ok(Ok(rounds)) => {
            report::print(&plan, &rounds, begun.elapsed());
            ExitCode::SUCCESS
        }
        Ok(Err(why)) => failed(&why),
        Err(_) => failed(&format!("it took longer than {LIMIT:?}")),
    }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("main_path: {why}");
    ExitCode::FAILURE
}

async fn rounds(plan: &Plan) -> Result<Vec<round::Round>, String> {
    let mut rounds = Vec::with_capacity(plan.rounds);
    for number in 1..=plan.rounds {
        let round = round::run(plan).await?;
        eprintln!("round {number} of {}: {}", plan.rounds, report::one_line(&round));
        rounds.push(round);
    }
    Ok(rounds)
}
