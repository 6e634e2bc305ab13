//! What is checked without running anything. Every check runs, so that one round shows all there is to mend.

use crate::{
    command::{announce, cargo, run},
    deny, fuzz, real,
    suite::FEATURES,
    tally::Tally,
};

/// Format, lints, and what is depended on.
pub(crate) fn all() -> Tally {
    format().then(lints).then(deny::check)
}

fn format() -> Tally {
    announce("cargo fmt --check");
    let result = run("cargo fmt", &mut cargo(&["fmt", "--all", "--check"]));
    let fuzz = run("cargo fmt", &mut cargo(&["fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"]));
    failed(result, "the format differs: run `cargo fmt --all`")
        .and(failed(fuzz, "the format differs: run `cargo fmt` in fuzz"))
}

fn lints() -> Tally {
    announce("cargo clippy");
    let real = real::targets();
    let by_name: Vec<&str> = real.iter().flat_map(|target| ["--test", target]).collect();
    // Those that plain `cargo test` leaves out are no part of all, and beside all no name is heeded.
    clippy(&["--all-targets"])
        .then(|| clippy(&by_name))
        .then(|| failed(fuzz::lint(), "clippy has something to say on fuzz; see above"))
}

fn clippy(targets: &[&str]) -> Tally {
    let args = [&["clippy", "--workspace"], targets, &FEATURES, &["--", "--deny", "warnings"]].concat();
    failed(run("cargo clippy", &mut cargo(&args)), "clippy has something to say; see above")
}

/// A check is no test: it counts only where it fails.
pub(crate) fn failed(result: Result<(), String>, sentence: &str) -> Tally {
    match result {
        Ok(()) => Tally::default(),
        Err(why) => Tally::failure(format!("{sentence} ({why})")),
    }
}
