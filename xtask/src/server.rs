//! A server of the built binary, on a free port and an empty data directory.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use crate::command::{announce, root, run};

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

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
        let pid = self.child.id().to_string();
        run("kill", Command::new("kill").args(["-TERM", &pid]))?;
        let status = self.wait(STOP, |server| server.ended())?;
        match status {
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
        let ready = self.wait(START, |server| match server.ended() {
            Some(status) => Some(Err(status)),
            None => server.ready_file().exists().then_some(Ok(())),
        })?;
        match ready {
            Some(Ok(())) => Ok(()),
            Some(Err(status)) => Err(self.at_fault(&format!("sluice ended with {status} before it was ready"))),
            None => Err(self.at_fault("sluice was not ready in time")),
        }
    }

    /// Looks until there is something or the time is over: neither the file nor the process tells by itself.
    #[expect(clippy::disallowed_methods, reason = "nothing else runs in this process")]
    fn wait<T>(&mut self, limit: Duration, look: impl Fn(&mut Self) -> Option<T>) -> Result<Option<T>, String> {
        let begun = Instant::now();
        loop {
            match look(self) {
                Some(found) => return Ok(Some(found)),
                None if begun.elapsed() > limit => return Ok(None),
                None => std::thread::sleep(LOOK_AGAIN),
            }
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
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("debug/sluice")
}

fn command(dir: &std::path::Path) -> Command {
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir.join("data"));
    command.arg("--ready-file").arg(dir.join("ready.json"));
    command.env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__LATENCY", "none");
    command.env_remove("SLUICE_CONFIG").current_dir(dir);
    command
}
