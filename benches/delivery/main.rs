//! What a delivery costs: Sluice beside a bare server that only writes, and beside what people take otherwise. What is
//! measured and how: docs/benchmarks.md.
//!
//! `cargo xtask bench delivery` (under ten minutes), with `--quick` to see that it works, with `--scenario NAME,…` and
//! `--server NAME,…` for a part of it, with `--write` to put the figures into docs/benchmarks.md, and with `--real` also
//! through Kafka.

mod clock;
mod command;
mod conn;
mod contender;
mod cores;
mod crowd;
mod document;
#[path = "../main_path/enrollment.rs"]
mod enrollment;
mod finding;
mod frame;
mod gateway;
#[path = "../peers/greet.rs"]
mod greet;
mod grown;
#[allow(dead_code, unused_imports, clippy::unwrap_used, reason = "the end-to-end tests use all of it")]
#[path = "../../tests/installation/mod.rs"]
mod installation;
mod kafka;
#[path = "../peers/naive.rs"]
mod naive;
mod node;
mod plan;
#[path = "../peers/raw.rs"]
mod raw;
#[path = "../peers/raw_task.rs"]
mod raw_task;
mod report;
mod role;
mod sample;
mod scenarios;
mod server;
mod spread;
mod stalled;
mod storm;
mod tally;
mod usage;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use plan::Plan;
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_setaffinity},
};

/// As Sluice's own binary has it; so all servers in Rust have it here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Descriptors that a process has beside its sockets.
const OTHER_DESCRIPTORS: u64 = 100;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let descriptors = raise_descriptors();
    let outcome = match args.first().map(String::as_str) {
        Some("serve") => serve(&args[1..]),
        // `cargo test --benches` runs this as well, without the flag: that it was built is all that is wanted then.
        _ if !args.iter().any(|arg| arg == "--bench") => {
            println!("nothing measured: run `cargo xtask bench delivery`");
            Ok(())
        }
        _ => measure(&Plan::of(&args, descriptors)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("delivery: {why}");
            ExitCode::FAILURE
        }
    }
}

/// As many as this process may have; how many sockets that is room for.
fn raise_descriptors() -> u32 {
    let limit = getrlimit(Resource::Nofile);
    // A process that may not have more has what it has.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    u32::try_from(current.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(u32::MAX)
}

/// A server's role.
fn serve(args: &[String]) -> Result<(), String> {
    let off = gateway::Off {
        access: args.iter().any(|arg| arg == "no-access"),
        audit: args.iter().any(|arg| arg == "no-audit"),
        memory: args.iter().any(|arg| arg == "stored"),
    };
    match args.first().map(String::as_str) {
        Some("raw") => raw::Raw::start(raw::Writes::Each).and_then(|(at, mut peer)| role::serve(at, &mut peer)),
        Some("floor") => raw::Raw::start(raw::Writes::Joined).and_then(|(at, mut peer)| role::serve(at, &mut peer)),
        Some("raw-task") => serve_tasks(raw_task::Layer::Tungstenite),
        Some("raw-task-small") => serve_tasks(raw_task::Layer::SmallTungstenite),
        Some("fastwebsockets") => serve_tasks(raw_task::Layer::FastWebsockets),
        Some("yawc") => serve_tasks(raw_task::Layer::Yawc),
        Some("bare-task") => serve_tasks(raw_task::Layer::Bare),
        Some("naive") => naive::Naive::start().and_then(|(at, mut peer)| role::serve(at, &mut peer)),
        Some("sluice") => {
            if args.iter().any(|arg| arg == "one-core") {
                stay_on_one_core()?;
            }
            let data = PathBuf::from(std::env::var_os("SLUICE_BENCH_DATA").ok_or("no data directory")?);
            gateway::Gateway::start(&data, off).and_then(|(at, mut peer)| role::serve(at, &mut peer))
        }
        other => Err(format!("no such role: {other:?}")),
    }
}

fn serve_tasks(layer: raw_task::Layer) -> Result<(), String> {
    raw_task::RawTask::start(layer).and_then(|(at, mut peer)| role::serve(at, &mut peer))
}

/// Before there are other threads: they inherit it.
fn stay_on_one_core() -> Result<(), String> {
    let mut first = CpuSet::new();
    first.set(0);
    sched_setaffinity(None, &first).map_err(|error| format!("the processor can't be chosen: {error}"))
}

fn measure(plan: &Plan) -> Result<(), String> {
    let begun = Instant::now();
    if plan.takes("node") {
        node::install()?;
    }
    let wants = |scenario: &str| {
        let wanted = plan.wants(scenario);
        if wanted {
            eprintln!("── {scenario}, after {:.0} s", begun.elapsed().as_secs_f64());
        }
        wanted
    };
    let mut groups = Vec::new();
    if wants("fan-out-1k") {
        groups.extend(scenarios::fan_out(plan, "fan-out-1k", 1000)?);
    }
    // With as few sockets as the one before it would say nothing new.
    if !plan.quick && wants("fan-out-5k") {
        groups.extend(scenarios::fan_out(plan, "fan-out-5k", 5000)?);
    }
    if wants("own-channel-5k") {
        groups.extend(scenarios::own_channel(plan, "own-channel-5k", 5000)?);
    }
    if wants("own-channel-20k") {
        groups.extend(scenarios::own_channel(plan, "own-channel-20k", 20_000)?);
    }
    let mut findings = report::findings(&groups);
    if wants("cores") {
        let (group, told) = cores::run(plan)?;
        groups.extend(group);
        findings.extend(told);
    }
    let alone = |scenario: &str| plan.takes("sluice") && wants(scenario);
    if alone("growth") {
        findings.extend(grown::run(plan)?);
    }
    if alone("stalled") {
        findings.extend(stalled::run(plan)?);
    }
    if alone("resume") {
        findings.extend(storm::run(plan)?);
    }
    if alone("kafka") {
        findings.extend(kafka::run(plan)?);
    }
    let text = document::text(plan, &findings, &groups, begun.elapsed().as_secs_f64());
    println!("{text}");
    if plan.writes { document::write(&text) } else { Ok(()) }
}
