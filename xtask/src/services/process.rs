//! A service's process: started, waited for, stopped by its own id.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{command::last_lines, interrupt, wait};

/// How long it may take to end after SIGTERM.
const STOP: Duration = Duration::from_secs(20);

/// Killed where it is dropped before it was stopped.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
    stopped: bool,
}

impl Process {
    /// Starts it in a process group of its own, so that a terminal's Ctrl-C does not end it before the tests.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Self, String> {
        let files = File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = files.map_err(|error| format!("{} cannot be written: {error}", log.display()))?;
        let spawned = command.process_group(0).stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = spawned.map_err(|error| format!("{name} cannot be started: {error}"))?;
        Ok(Self { name, child, log: log.to_owned(), stopped: false })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready`, which is told what the log holds by then. The error quotes the last of that.
    pub(crate) fn wait_until(&mut self, limit: Duration, ready: impl Fn(&str) -> bool) -> Result<(), String> {
        let outcome = wait::until(limit, || match self.ended() {
            Some(status) => Some(Err(format!("{} ended with {status} before it was ready", self.name))),
            None if interrupt::requested() => Some(Err(format!("{} was not waited for", self.name))),
            None => ready(&self.logged()).then_some(Ok(())),
        });
        let not_yet = || Err(format!("{} was not ready after {} s", self.name, limit.as_secs()));
        outcome.unwrap_or_else(not_yet).map_err(|why| format!("{why}{}", last_lines(&self.log)))
    }

    /// SIGTERM, and SIGKILL where that is not enough. Says what was not as it should be.
    pub(crate) fn stop(&mut self) -> Option<String> {
        self.stopped = true;
        if let Some(status) = self.ended() {
            let how = last_lines(&self.log);
            return Some(format!("{} was no longer there at the end: it had ended with {status}{how}", self.name));
        }
        self.send(Signal::TERM);
        // One that a test has left paused takes no signal until it goes on.
        self.send(Signal::CONT);
        if wait::until(STOP, || self.ended()).is_some() {
            return None;
        }
        self.kill();
        Some(format!("{} did not end within {} s of SIGTERM, and was killed", self.name, STOP.as_secs()))
    }

    fn logged(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Only before its end was seen: until then its id is its own.
    fn send(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.stopped && self.ended().is_none() {
            let _ = self.stop();
        }
    }
}

/// Runs it to its end, also while this program is stopping; the error quotes the last of what it said.
pub(crate) fn run_undisturbed(name: &str, command: &mut Command, log: &Path) -> Result<(), String> {
    let files = File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
    let (out, err) = files.map_err(|error| format!("{} cannot be written: {error}", log.display()))?;
    let status = command.process_group(0).stdin(Stdio::null()).stdout(out).stderr(err).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} ended with {status}{}", last_lines(log))),
        Err(error) => Err(format!("{name} cannot be started: {error}")),
    }
}
