//! Benchmarks: binaries under benches/, each with its own main, built for release.

use crate::{
    command::{announce, cargo, run},
    services::{self, Running, env::Env},
};

/// Runs `benches/<name>`, with what follows the name as its arguments; with `--real` among them, on the real parts.
pub(crate) fn run_named(name: &str, args: &[&str]) -> Result<(), String> {
    if !args.contains(&"--real") {
        return bench(name, args, &Env::default());
    }
    let running = Running::start(services::get()?)?;
    let outcome = bench(name, args, running.env());
    let complaints = running.stop(outcome.is_ok());
    outcome.and_then(|()| if complaints.is_empty() { Ok(()) } else { Err(complaints.join("; ")) })
}

fn bench(name: &str, args: &[&str], env: &Env) -> Result<(), String> {
    let target = name.replace('-', "_");
    announce(&format!("cargo bench --bench {target}"));
    let mut command = cargo(&["bench", "--package", "sluice", "--bench", &target, "--"]);
    if args.contains(&"--real") {
        command.env("SLUICE_TEST_PROFILE", "real");
    }
    run("cargo bench", command.args(args).envs(env.iter()))
}
