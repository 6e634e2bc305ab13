//! How soon a change of who may see what reaches a running stream, and what a decision costs. What is measured and how:
//! docs/benchmarks.md.
//!
//! `cargo xtask bench access`, or with `--quick` a tenth of it. With `--real` on PostgreSQL, Kafka and SpiceDB, which the
//! command brings up.

mod deciding;
mod ending;
mod house;
#[allow(dead_code, unused_imports, clippy::unwrap_used, reason = "the end-to-end tests use all of it")]
#[path = "../../tests/installation/mod.rs"]
mod installation;
mod load;
mod report;
mod watcher;

use std::{process::ExitCode, time::Duration};

use self::{house::House, installation::on_real_parts, report::Report};

/// Whatever goes wrong, the program ends.
const LIMIT: Duration = Duration::from_secs(9 * 60);

/// How many of each.
pub(crate) struct Plan {
    pub(crate) revocations: usize,
    pub(crate) expirations: usize,
    pub(crate) viewers: usize,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` runs this as well, without the flag: that it was built is all that is wanted then.
    if !args.iter().any(|arg| arg == "--bench") {
        println!("nothing measured: run `cargo xtask bench access`");
        return ExitCode::SUCCESS;
    }
    let scale = if args.iter().any(|arg| arg == "--quick") { 10 } else { 1 };
    let plan = Plan { revocations: 1000 / scale, expirations: 200 / scale, viewers: 10_000 / scale };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime for the clients");
    let measured = runtime.block_on(async { tokio::time::timeout(LIMIT, Box::pin(measure(&plan))).await });
    match measured {
        Ok(Ok(report)) => {
            report.print();
            ExitCode::SUCCESS
        }
        Ok(Err(why)) => failed(&why),
        Err(_) => failed(&format!("it took longer than {LIMIT:?}")),
    }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("access: {why}");
    ExitCode::FAILURE
}

async fn measure(plan: &Plan) -> Result<Report, String> {
    let house = House::open().await?;
    let mut report = Report::new(on_real_parts());
    deciding::warm(&house, &mut report).await?;
    deciding::cold(&house, plan.viewers, &mut report).await?;
    let load = load::start(&house);
    ending::revoked_through_sluice(&house, plan.revocations, &mut report).await?;
    if on_real_parts() {
        ending::revoked_in_spicedb(&house, plan.revocations, &mut report).await?;
    }
    ending::expired(&house, plan.expirations, &mut report).await?;
    report.load(load.stop().await?);
    house.close().await;
    Ok(report)
}
