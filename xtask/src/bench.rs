//! Benchmarks: binaries under benches/, each with its own main, built for release.

use crate::command::{announce, cargo, run};

/// Runs `benches/<name>`, with what follows the name as its arguments.
pub(crate) fn run_named(name: &str, args: &[&str]) -> Result<(), String> {
    let target = name.replace('-', "_");
    announce(&format!("cargo bench --bench {target}"));
    run("cargo bench", cargo(&["bench", "--package", "sluice", "--bench", &target, "--"]).args(args))
}
