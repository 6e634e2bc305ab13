//! Running other programs.

use std::{
    io::{BufRead, BufReader, ErrorKind},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::tally::Tally;

/// The root of the tree.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// The cargo that runs this.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// Says what begins.
pub(crate) fn announce(step: &str) {
    println!("\n── {step}");
}

/// Runs it to its end; `name` is for the error.
pub(crate) fn run(name: &str, command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| cannot_run(name, &error))?;
    if status.success() { Ok(()) } else { Err(format!("{name} ended with {status}")) }
}

/// Runs a test runner: passes its output on and counts its results. A runner that ends badly without a failed test (it
/// did not compile, say) counts as one failure.
pub(crate) fn run_counted(name: &str, command: &mut Command) -> Tally {
    match count(name, command) {
        Ok((tally, success)) if success || tally.failed > 0 => tally,
        Ok((tally, _)) => tally.and(Tally::failure(format!("{name} ended with an error; see above"))),
        Err(sentence) => Tally::failure(sentence),
    }
}

fn count(name: &str, command: &mut Command) -> Result<(Tally, bool), String> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| cannot_run(name, &error))?;
    let mut tally = Tally::default();
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout);
        let mut bytes = Vec::new();
        while lines.read_until(b'\n', &mut bytes).map_err(|error| format!("{name} cannot be read: {error}"))? > 0 {
            let line = String::from_utf8_lossy(&bytes);
            print!("{line}");
            tally.line(line.trim_end());
            bytes.clear();
        }
    }
    let status = child.wait().map_err(|error| format!("{name} cannot be waited for: {error}"))?;
    Ok((tally, status.success()))
}

fn cannot_run(name: &str, error: &std::io::Error) -> String {
    let program = name.split(' ').next().unwrap_or(name);
    match (error.kind(), program) {
        (ErrorKind::NotFound, "node" | "npm") => {
            format!("{program} was not found: install Node.js 20 or later with npm, and run it again")
        }
        _ => format!("{name} cannot be started: {error}"),
    }
}
