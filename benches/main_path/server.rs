//! A server of the release binary, on a free port and an empty data directory.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{installation::Home, plan::PAYER, published};
use serde::Deserialize;

const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Linux reports CPU time in hundredths of a second (USER_HZ), whatever the kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;

/// Killed where it is dropped without [`Server::stop`].
pub(crate) struct Server {
    child: Child,
    pub(crate) home: Home,
    pub(crate) ready: Ready,
}

#[derive(Deserialize)]
pub(crate) struct Ready {
    pub(crate) graphql: String,
    pub(crate) subscriptions: String,
    pub(crate) viewers: std::collections::BTreeMap<String, Viewer>,
}

#[derive(Deserialize)]
pub(crate) struct Viewer {
    pub(crate) id: String,
    pub(crate) token: String,
}

/// What the server has used.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_mib: f64,
}

impl Server {
    /// Starts it, and waits until it accepts connections.
    pub(crate) async fn start(home: Home) -> Result<Self, String> {
        let log = File::create(home.path().join("log.txt")).map_err(|error| error.to_string())?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        configure(&mut command, &home).stdout(Stdio::null()).stderr(log);
        if let Some(file) = published::configuration(&home) {
            command.arg("--config").arg(file);
        }
        let mut child = command.spawn().map_err(|error| format!("the binary can't be started: {error}"))?;
        match wait_until_ready(&mut child, &home.path().join("ready.json")).await {
            Ok(ready) => Ok(Self { child, home, ready }),
            Err(why) => {
                // It may have ended already.
                let _ = child.kill();
                let _ = child.wait();
                Err(format!("{why}: {}", last_line(home.path())))
            }
        }
    }

    pub(crate) fn viewer(&self, name: &str) -> Result<&Viewer, String> {
        self.ready.viewers.get(name).ok_or_else(|| format!("there is no demo {name}"))
    }

    pub(crate) fn usage(&self) -> Result<Usage, String> {
        usage(&self.child.id().to_string())
    }

    /// SIGTERM, and a clean end.
    pub(crate) async fn stop(mut self) -> Result<(), String> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().map_err(|error| format!("kill: {error}"))?;
        let begun = Instant::now();
        loop {
            match self.child.try_wait().map_err(|error| error.to_string())? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the server ended with {status}: {}", last_line(self.home.path()))),
                None if begun.elapsed() > STOP => return Err("the server did not end after SIGTERM".into()),
                None => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // There is nobody left to tell.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// All defaults, but for a payer that always takes the same time, and enough room for those who wait for it and for what
/// one viewer does.
fn configure<'a>(command: &'a mut Command, home: &Home) -> &'a mut Command {
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(home.data_dir())
        .arg("--ready-file")
        .arg(home.path().join("ready.json"))
        .env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__LATENCY", "fixed")
        .env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__FIXED_MS", PAYER.as_millis().to_string())
        .env("SLUICE__ELIGIBILITY__MAX_IN_FLIGHT", "5000")
        // All load comes from two viewers.
        .env("SLUICE__TRANSPORTS__MAX_IN_FLIGHT_PER_VIEWER", "100000")
        .env("SLUICE__TRANSPORTS__MAX_OPERATIONS_PER_SECOND", "1000000")
        .env("SLUICE__TRANSPORTS__MAX_OPERATIONS_BURST", "1000000")
        .env("SLUICE__TELEMETRY__LOG_FILTER", "warn")
        .envs(home.environment().iter().map(|(name, value)| (name, value)))
        .env_remove("SLUICE_CONFIG")
        .current_dir(home.path())
}

async fn wait_until_ready(child: &mut Child, file: &PathBuf) -> Result<Ready, String> {
    let begun = Instant::now();
    loop {
        if let Ok(text) = fs::read(file) {
            return serde_json::from_slice(&text).map_err(|error| format!("the ready file: {error}"));
        }
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Err(format!("it ended with {status} before it was ready"));
        }
        if begun.elapsed() > START {
            return Err("it was not ready in time".into());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn last_line(dir: &Path) -> String {
    let log = fs::read_to_string(dir.join("log.txt")).unwrap_or_default();
    log.lines().next_back().unwrap_or("(it logged nothing)").to_owned()
}

/// `process` is a process id, or `self` (proc_pid_stat(5), proc_pid_status(5)).
pub(crate) fn usage(process: &str) -> Result<Usage, String> {
    let read = |file: &str| {
        fs::read_to_string(format!("/proc/{process}/{file}"))
            .map_err(|error| format!("/proc/{process}/{file}: {error}"))
    };
    let (stat, status) = (read("stat")?, read("status")?);
    // The name, in parentheses, may hold spaces; user and system time are the 12th and 13th behind it.
    let behind_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: Vec<f64> = behind_name.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<f64> = resident.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
    Ok(Usage {
        cpu_seconds: ticks.iter().sum::<f64>() / TICKS_PER_SECOND,
        resident_mib: kib.ok_or("no VmRSS")? / 1024.0,
    })
}
