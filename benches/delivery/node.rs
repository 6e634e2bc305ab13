//! What a team without Rust would write: graphql-ws on ws, in benches/peers/node.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const FILES: [&str; 3] = ["package.json", "package-lock.json", "server.mjs"];

/// Installed by its lockfile, beside the build.
pub(crate) fn install() -> Result<(), String> {
    let (from, to) = (source(), installed());
    fs::create_dir_all(&to).map_err(|error| error.to_string())?;
    for file in FILES {
        fs::copy(from.join(file), to.join(file)).map_err(|error| format!("{file}: {error}"))?;
    }
    let npm = Command::new("npm").arg("ci").current_dir(&to).stdout(Stdio::null()).status();
    match npm {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("npm ci ended with {status}")),
        Err(error) => Err(format!("npm: {error}")),
    }
}

pub(crate) fn process() -> Result<Command, String> {
    let mut process = Command::new("node");
    process.arg("server.mjs").env("NODE_ENV", "production").current_dir(installed());
    Ok(process)
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/node")
}

fn installed() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("delivery-node")
}
