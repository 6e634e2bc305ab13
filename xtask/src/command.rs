//! Running other programs.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, ErrorKind},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{interrupt::Running, tally::Tally};

/// The root of the tree.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Where cargo builds; what is had from elsewhere is cached in it, too.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
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
    let status = Running::spawn(command).and_then(Running::wait).map_err(|error| cannot_run(name, &error))?;
    if status.success() { Ok(()) } else { Err(format!("{name} ended with {status}")) }
}

/// Runs it to its end, with its output in a file; the error quotes the last of it.
pub(crate) fn run_quietly(name: &str, command: &mut Command, log: &Path) -> Result<(), String> {
    let files = File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
    let (out, err) = files.map_err(|error| format!("{} cannot be written: {error}", log.display()))?;
    run(name, command.stdout(out).stderr(err)).map_err(|why| format!("{why}{}", last_lines(log)))
}

/// The end of a log, as part of a sentence.
pub(crate) fn last_lines(log: &Path) -> String {
    const LINES: usize = 10;
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    if last.is_empty() {
        "; it said nothing".to_owned()
    } else {
        format!("; its last words:\n    {}", last.join("\n    "))
    }
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
    let mut running = Running::spawn(command.stdout(Stdio::piped())).map_err(|error| cannot_run(name, &error))?;
    let mut tally = Tally::default();
    if let Some(stdout) = running.child.stdout.take() {
        let mut lines = BufReader::new(stdout);
        let mut bytes = Vec::new();
        while lines.read_until(b'\n', &mut bytes).map_err(|error| format!("{name} cannot be read: {error}"))? > 0 {
            let line = String::from_utf8_lossy(&bytes);
            print!("{line}");
            tally.line(line.trim_end());
            bytes.clear();
        }
    }
    let status = running.wait().map_err(|error| format!("{name} cannot be waited for: {error}"))?;
    Ok((tally, status.success()))
}

fn cannot_run(name: &str, error: &std::io::Error) -> String {
    let program = name.split(' ').next().unwrap_or(name);
    let needed = match program {
        "c++" => "a C++ compiler, such as g++ or clang",
        "node" | "npm" => "Node.js 20 or later with npm",
        "java" => "a Java runtime, version 17 or later",
        "mvn" => "Apache Maven 3.8 or later",
        "go" => "Go 1.25 or later",
        _ => return format!("{name} cannot be started: {error}"),
    };
    match error.kind() {
        ErrorKind::NotFound => format!("{program} was not found: install {needed}, and run it again"),
        _ => format!("{name} cannot be started: {error}"),
    }
}
