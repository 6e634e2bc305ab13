//! The npm clients, against the built binary.

use std::{path::Path, process::Command};

use crate::{
    command::{announce, root, run, run_counted},
    server::Server,
    tally::Tally,
};

/// Installs the clients by their lockfile, starts a server, and runs node's test runner on tests/js.
pub(crate) fn clients() -> Tally {
    let dir = root().join("tests/js");
    match install(&dir).and_then(|()| Server::start()) {
        Ok(server) => against(&dir, server),
        Err(sentence) => Tally::failure(sentence),
    }
}

fn install(dir: &Path) -> Result<(), String> {
    announce("npm ci");
    run("npm ci", Command::new("npm").arg("ci").current_dir(dir))
}

fn against(dir: &Path, server: Server) -> Tally {
    announce("node --test");
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=spec"]).current_dir(dir).env("SLUICE_READY_FILE", server.ready_file());
    let tally = run_counted("node --test", &mut node);
    match server.stop(tally.failed == 0) {
        Ok(()) => tally,
        Err(sentence) => tally.and(Tally::failure(sentence)),
    }
}
