//! A server of the built binary, on a free port and an empty data directory.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    command::{announce, target},
    interrupt, wait,
};

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// Stopped by its own process id; killed where it is dropped without.
pub(crate) struct Server {
    child: Child,
    dir: PathBuf,
}

impl Server {
    /// Starts it, and waits until it accepts connections.
    pub(crate) fn start() -> Result<Self, String> {
        announce("sluice serve");
        let dir = std::env::temp_dir().join(format!("sluice-clients-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).map_err(|error| format!("{} cannot be made: {error}", dir.display()))?;
        let log = dir.join("log.txt");
        let log = File::create(&log).map_err(|error| format!("{} cannot be written: {error}", log.display()))?;
        let child = command(&dir).stderr(log).stdout(std::process::Stdio::null()).spawn();
        let child = child.map_err(|error| format!("{} cannot be started: {error}", binary().display()))?;
        let mut server = Self { child, dir };
        server.wait_until_ready()?;
        Ok(server)
    }

    pub(crate) fn ready_file(&self) -> PathBuf {
        self.dir.join("ready.json")
    }

    /// SIGTERM, and a clean end within reason. What it logged is kept where it is of use.
    pub(crate) fn stop(mut self, all_well: bool) -> Result<(), String> {
        // Before its end was seen its id is its own.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        match wait::until(STOP, || self.ended()) {
            Some(status) if status.success() && all_well => {
                let _ = fs::remove_dir_all(&self.dir);
                Ok(())
            }
            Some(status) if status.success() => {
                println!("the server's log is in {}", self.dir.join("log.txt").display());
                Ok(())
            }
            Some(status) => Err(self.at_fault(&format!("sluice ended with {status} after SIGTERM"))),
            None => Err(self.at_fault("sluice did not end after SIGTERM")),
        }
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let ready = wait::until(START, || match self.ended() {
            Some(status) => Some(Err(format!("sluice ended with {status} before it was ready"))),
            None if interrupt::requested() => Some(Err("sluice was not waited for".to_owned())),
            None => self.ready_file().exists().then_some(Ok(())),
        });
        match ready {
            Some(Ok(())) => Ok(()),
            Some(Err(why)) => Err(self.at_fault(&why)),
            None => Err(self.at_fault("sluice was not ready in time")),
        }
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn at_fault(&self, what: &str) -> String {
        let log = self.dir.join("log.txt");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let last = text.lines().next_back().unwrap_or("(nothing)");
        format!("{what}; the last line of {}: {last}", log.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn binary() -> PathBuf {
    target().join("debug/sluice")
}

fn command(dir: &std::path::Path) -> Command {
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir.join("data"));
    command.arg("--ready-file").arg(dir.join("ready.json"));
    command.env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__LATENCY", "none");
    command.env_remove("SLUICE_CONFIG").current_dir(dir).process_group(0);
    command
}
