//! PostgreSQL, stopped and started.

use std::{path::PathBuf, process::Stdio};

use tokio::process::Command;

use crate::installation::required;

/// A server that is to run: it is started again when this is dropped, whatever else went wrong.
pub(crate) struct Postmaster {
    data: PathBuf,
    program: PathBuf,
    user: String,
    stopped: bool,
}

impl Postmaster {
    /// The gateway's.
    pub(crate) fn of_store() -> Self {
        Self::of("SLUICE_TEST_POSTGRES_DATA")
    }

    /// SpiceDB's.
    pub(crate) fn of_relationships() -> Self {
        Self::of("SLUICE_TEST_SPICEDB_POSTGRES_DATA")
    }

    fn of(data: &str) -> Self {
        Self {
            data: required(data).into(),
            program: PathBuf::from(required("SLUICE_TEST_POSTGRES_BIN")).join("pg_ctl"),
            user: required("SLUICE_TEST_POSTGRES_USER"),
            stopped: false,
        }
    }

    /// At once, as in a power cut: what was not committed is gone, and connections break without a word.
    pub(crate) async fn stop(&mut self) {
        self.stopped = true;
        let status = Command::from(self.pg_ctl("stop")).args(["-m", "immediate"]).status().await.unwrap();
        assert!(status.success(), "PostgreSQL can't be stopped: {status}");
    }

    /// Returns once it answers.
    pub(crate) async fn start(&mut self) {
        let status = Command::from(self.pg_ctl("start")).status().await.unwrap();
        assert!(status.success(), "PostgreSQL can't be started: {status}");
        self.stopped = false;
    }

    fn pg_ctl(&self, what: &str) -> std::process::Command {
        let mut command = match self.user.as_str() {
            "" => std::process::Command::new(&self.program),
            // It does not run as root.
            user => {
                let mut command = std::process::Command::new("runuser");
                command.args(["-u", user, "--"]).arg(&self.program);
                command
            }
        };
        command.args([what, "-w", "-t", "60", "-D"]).arg(&self.data).arg("-l").arg(self.data.join("restarted.log"));
        // The server would keep them open.
        command.current_dir(&self.data).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        if self.stopped && !self.pg_ctl("start").status().is_ok_and(|status| status.success()) {
            eprintln!("PostgreSQL can't be started again");
        }
    }
}
