//! Building the fuzz targets, a workspace of their own.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use super::dir;
use crate::command::{announce, cargo, root, run};

/// What cargo-fuzz passes to a nightly compiler, by the names that a stable one has for it: counters of branches that
/// libFuzzer reads. `fuzzing` lets the targets look inside.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                     -Cllvm-args=-sanitizer-coverage-pc-table --cfg fuzzing";

/// Targets that can be run.
pub(super) struct Built {
    dir: PathBuf,
}

impl Built {
    pub(super) fn binary(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

pub(super) fn all() -> Result<Built, String> {
    announce("cargo build: fuzz targets, takes some minutes the first time");
    let host = ready()?;
    run("cargo build", &mut fuzz_cargo("build", &host))?;
    Ok(Built { dir: dir().join(host).join("release") })
}

/// clippy, on the targets; with the same flags, so that what it had compiled is there for the build.
pub(crate) fn lint() -> Result<(), String> {
    let host = ready()?;
    run("cargo clippy", fuzz_cargo("clippy", &host).args(["--", "--deny", "warnings"]))
}

/// Looks whether it can be built at all, and what for.
fn ready() -> Result<String, String> {
    // Whoever names another compiler knows what there is.
    if std::env::var_os("CXX").is_none() {
        run("c++", Command::new("c++").arg("--version").stdout(Stdio::null()))?;
    }
    host()
}

/// With a target that is named, build scripts and macros are built without the flags.
fn fuzz_cargo(what: &str, host: &str) -> Command {
    let mut command = cargo(&[what, "--release", "--bins", "--target", host, "--manifest-path"]);
    command.arg(root().join("fuzz/Cargo.toml"));
    command.env("CARGO_TARGET_DIR", dir()).env("RUSTFLAGS", FLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// The machine that this is, as cargo calls it.
fn host() -> Result<String, String> {
    let output = cargo(&["-vV"]).output().map_err(|error| format!("cargo cannot be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "cargo -vV does not tell the host".to_owned())
}
