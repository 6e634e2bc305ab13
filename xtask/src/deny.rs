//! cargo-deny: known holes in what is depended on, its licences, what is banned, and where it comes from (deny.toml).

use std::{path::PathBuf, process::Command};

use crate::{
    cache::Cached,
    checks::failed,
    command::{announce, cargo, root, run, run_quietly},
    tally::Tally,
};

const VERSION: &str = "0.20.2";

/// All four checks; the advisories only where their database can be reached, and said so where not.
pub(crate) fn check() -> Tally {
    announce("cargo deny check");
    match program() {
        Ok(program) => offline(&program).then(|| advisories(&program)),
        Err(sentence) => Tally::failure(sentence),
    }
}

fn program() -> Result<PathBuf, String> {
    let part = Cached {
        title: &format!("cargo-deny {VERSION}"),
        name: &format!("cargo-deny-{VERSION}"),
        witness: "bin/cargo-deny",
        how: "cargo install, takes 2 minutes the first time",
    };
    part.get(|dir| {
        let mut install = cargo(&["install", "--locked", "--version", VERSION, "cargo-deny", "--root"]);
        install.arg(dir).env("CARGO_TARGET_DIR", dir.join("build"));
        // It is built more often than it has much to do.
        install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_PROFILE_RELEASE_LTO", "off");
        install.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        run_quietly("cargo install cargo-deny", &mut install, &dir.join("install.log"))?;
        let _ = std::fs::remove_dir_all(dir.join("build"));
        Ok(())
    })
    .map(|dir| dir.join("bin/cargo-deny"))
}

fn offline(program: &PathBuf) -> Tally {
    let result = run("cargo deny check", deny(program).args(["check", "bans", "licenses", "sources"]));
    failed(result, "cargo-deny has something to say; see above")
}

/// Whether the database can be had and what it says are two questions.
fn advisories(program: &PathBuf) -> Tally {
    let fetched = tempfile::tempdir().map_err(|error| error.to_string()).and_then(|dir| {
        run_quietly("cargo deny fetch", deny(program).args(["fetch", "db"]), &dir.path().join("fetch.log"))
    });
    match fetched {
        Ok(()) => {
            let result = run("cargo deny check", deny(program).args(["--offline", "check", "advisories"]));
            failed(result, "a dependency has a known hole; see above")
        }
        Err(why) => {
            println!("{why}");
            Tally::left_out(
                "left out: advisories were not checked, since the database of RustSec could not be fetched (see above)"
                    .to_owned(),
            )
        }
    }
}

fn deny(program: &PathBuf) -> Command {
    let mut command = Command::new(program);
    command.args(["--workspace", "--all-features"]).current_dir(root());
    command
}
