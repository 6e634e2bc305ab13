//! Debian's packages, where they can be installed without asking.

use std::process::{Command, Stdio};

use crate::command::run_quietly;

/// Installs a package; `None`: this is no Debian, or not root's.
pub(crate) fn install(package: &str) -> Option<Result<(), String>> {
    let answers = Command::new("apt-get").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = rustix::process::geteuid().is_root() && answers.is_ok_and(|status| status.success());
    there.then(|| {
        println!("apt-get install {package}, takes a minute");
        run_apt(package)
    })
}

fn run_apt(package: &str) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|error| format!("no temporary directory can be made: {error}"))?;
    let log = dir.path().join("apt.log");
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        run_quietly("apt-get", command.arg("-qq").args(args).env("DEBIAN_FRONTEND", "noninteractive"), &log)
    };
    apt(&["update"])?;
    apt(&["install", "--yes", "--no-install-recommends", package])
}
