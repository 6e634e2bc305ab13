//! Every test.

use crate::{
    command::{announce, cargo, run, run_counted},
    js,
    tally::Tally,
};

/// Every build of CI has the same features, so that nothing is compiled twice.
pub(crate) const FEATURES: [&str; 2] = ["--features", "sluice/failpoints"];

/// Rust and clients.
pub(crate) fn all() -> Tally {
    built(|| rust().and(js::clients()))
}

/// Builds, then runs `tests`: where it does not compile, there is nothing to run.
pub(crate) fn built(tests: impl Fn() -> Tally) -> Tally {
    match build() {
        Ok(()) => tests(),
        Err(sentence) => Tally::failure(sentence),
    }
}

/// Tests and binary in one go, and so with the same features of their dependencies.
fn build() -> Result<(), String> {
    announce("cargo build");
    run("cargo build", cargo(&["build", "--workspace", "--bins", "--tests"]).args(FEATURES))
}

/// What cargo tests.
pub(crate) fn rust() -> Tally {
    announce("cargo test");
    run_counted("cargo test", cargo(&["test", "--workspace", "--no-fail-fast"]).args(FEATURES))
}
