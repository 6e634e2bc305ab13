//! Every test.

use std::thread;

use crate::{
    command::{announce, cargo, run, run_counted},
    fuzz, instructions, js, real, services,
    tally::Tally,
};

/// Every build of CI has the same features, so that nothing is compiled twice.
pub(crate) const FEATURES: [&str; 2] = ["--features", "sluice/failpoints"];

/// What a run without the real parts leaves out.
const EMBEDDED: &str =
    "left out, as asked by --embedded: all tests on PostgreSQL, Kafka and SpiceDB (adapters, end to end, faults)";

/// Rust, fuzz targets, the real parts, clients.
pub(crate) fn all() -> Tally {
    built_with_parts(|parts| {
        rust().then(fuzzed).then(|| with(parts, real::tests)).then(js::clients).then(instructions::check)
    })
}

/// All that runs without the real parts.
pub(crate) fn embedded() -> Tally {
    built(|| rust().then(fuzzed).then(js::clients).then(instructions::check)).and(Tally::left_out(EMBEDDED.to_owned()))
}

/// Only what runs on the real parts.
pub(crate) fn real() -> Tally {
    built_with_parts(|parts| with(parts, real::tests))
}

/// Builds, then runs `tests`: where it does not compile, there is nothing to run.
pub(crate) fn built(tests: impl FnOnce() -> Tally) -> Tally {
    match build(&[]) {
        Ok(()) => Tally::default().then(tests),
        Err(sentence) => Tally::failure(sentence),
    }
}

/// Has the real parts while it builds: the one waits for registries where the other computes.
fn built_with_parts(tests: impl FnOnce(Result<services::Parts, String>) -> Tally) -> Tally {
    let getting = thread::spawn(services::get);
    let built = build(&real::targets());
    let parts = getting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    match built {
        Ok(()) => Tally::default().then(|| tests(parts)),
        Err(sentence) => Tally::failure(sentence),
    }
}

fn with(parts: Result<services::Parts, String>, tests: impl FnOnce(services::Parts) -> Tally) -> Tally {
    match parts {
        Ok(parts) => tests(parts),
        Err(sentence) => Tally::failure(sentence),
    }
}

/// Tests and binary in one go, and so with the same features of their dependencies.
fn build(targets: &[&str]) -> Result<(), String> {
    announce("cargo build");
    let mut args = vec!["build", "--workspace", "--bins", "--tests"];
    args.extend(targets.iter().flat_map(|target| ["--test", target]));
    run("cargo build", cargo(&args).args(FEATURES))
}

/// What cargo tests, on the embedded parts.
pub(crate) fn rust() -> Tally {
    announce("cargo test");
    run_counted("cargo test", cargo(&["test", "--workspace", "--no-fail-fast"]).args(FEATURES))
}

/// A look at what clients send, too short to learn much new: it is `cargo xtask fuzz` that takes its time.
fn fuzzed() -> Tally {
    fuzz::all(fuzz::AMONG_TESTS)
}
