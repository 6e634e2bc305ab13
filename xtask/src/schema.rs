//! The golden SDL.

use std::{fs, process::Stdio};

use crate::command::{announce, cargo, root};

/// Writes what `sluice schema` prints to schema.graphql, in one piece and only where it worked.
pub(crate) fn rewrite() -> Result<(), String> {
    announce("sluice schema > schema.graphql");
    let mut command = cargo(&["run", "--quiet", "--package", "sluice", "--bin", "sluice", "--", "schema"]);
    let output = command.stderr(Stdio::inherit()).output().map_err(|e| format!("cargo cannot be started: {e}"))?;
    if !output.status.success() || output.stdout.is_empty() {
        return Err(format!("`sluice schema` ended with {}; schema.graphql was left as it is", output.status));
    }
    let path = root().join("schema.graphql");
    fs::write(&path, output.stdout).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}
