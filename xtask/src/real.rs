//! The tests that run on the real parts.

use std::{env, fs, process::Command};

use crate::{
    command::{announce, cargo, root, run_counted},
    services::{Parts, Running, env::Env},
    suite::FEATURES,
    tally::Tally,
};

/// The adapters' tests, a target of its own.
const ADAPTERS: &str = "real";
/// Several processes, and faults made on the parts themselves. Modules are named after the part that they stop or pause.
const FAULTS: &str = "real_faults";

/// The test targets that only run here.
pub(crate) fn targets() -> Vec<&'static str> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap_or_default();
    let faults = has_target(&manifest, FAULTS).then_some(FAULTS);
    [ADAPTERS].into_iter().chain(faults).collect()
}

fn has_target(manifest: &str, name: &str) -> bool {
    manifest.lines().any(|line| line.trim() == format!("name = \"{name}\""))
}

/// Starts the parts, runs all that runs on them, and stops them.
pub(crate) fn tests(parts: Parts) -> Tally {
    let running = match Running::start(parts) {
        Ok(running) => running,
        Err(sentence) => return Tally::failure(sentence),
    };
    let tally = adapters(running.env()).then(|| end_to_end(running.env())).then(|| faults(running.env()));
    let complaints = running.stop(tally.failed == 0);
    complaints.into_iter().map(Tally::failure).fold(tally, Tally::and)
}

/// Asks SpiceDB and the embedded evaluator the same of 20,000 sets of relationships.
const DIFFERENTIAL: &str = "differential::";

/// Each adapter against its system, the ports' contract suites among them. The differential test writes so much that it and
/// its neighbours on the same PostgreSQL would run into each other's deadlines: it runs alone.
fn adapters(env: &Env) -> Tally {
    announce("cargo test: the adapters, on the real parts");
    let tally = run_counted("cargo test", &mut test(env, ADAPTERS, &["--skip", DIFFERENTIAL]));
    announce("cargo test: SpiceDB against the embedded evaluator");
    tally.and(run_counted("cargo test", &mut test(env, ADAPTERS, &[DIFFERENTIAL])))
}

/// The scenarios a second time. What is about the embedded parts is in modules of that name.
fn end_to_end(env: &Env) -> Tally {
    announce("cargo test: end to end, on the real parts");
    run_counted("cargo test", test(env, "e2e", &["--skip", "embedded::"]).env("SLUICE_TEST_PROFILE", "real"))
}

/// One at a time: a part that one test has paused is away for all.
fn faults(env: &Env) -> Tally {
    if !targets().contains(&FAULTS) {
        return Tally::default();
    }
    announce("cargo test: faults of the real parts");
    let beyond = env.faults_out_of_reach(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    let mut args = vec!["--test-threads=1"];
    args.extend(beyond.iter().flat_map(|module| ["--skip", module]));
    run_counted("cargo test", test(env, FAULTS, &args).env("SLUICE_TEST_PROFILE", "real")).and(not_ours(&beyond))
}

fn not_ours(modules: &[&str]) -> Tally {
    if modules.is_empty() {
        return Tally::default();
    }
    Tally::left_out(format!(
        "left out: the tests of faults in {}, since a part that runs already is not stopped or paused",
        modules.join(", ")
    ))
}

fn test(env: &Env, target: &str, args: &[&str]) -> Command {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast", "--test", target]);
    command.args(FEATURES).arg("--").args(args).envs(env.iter());
    command
}

#[cfg(test)]
mod tests {
    use super::{has_target, not_ours};

    #[test]
    fn a_target_is_known_by_its_name() {
        let manifest = "[[test]]\nname = \"real_faults\"\ntest = false\n";
        assert!(has_target(manifest, "real_faults"));
        assert!(!has_target(manifest, "real"));
    }

    #[test]
    fn what_is_left_out_is_named() {
        let tally = not_ours(&["kafka::", "spicedb::"]);
        assert!(tally.left_out[0].starts_with("left out: the tests of faults in kafka::, spicedb::, since"));
        assert!(not_ours(&[]).left_out.is_empty());
    }
}
