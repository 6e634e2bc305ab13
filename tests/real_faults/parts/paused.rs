//! A process that is there, holds its connections, and does nothing.

use std::process::Command;

use crate::installation::required;

/// SIGSTOP. It goes on when this is dropped, whatever else went wrong.
pub(crate) struct Paused {
    pid: String,
}

impl Paused {
    /// `variable`: where its process id stands in the environment.
    pub(crate) fn begin(variable: &str) -> Self {
        let paused = Self { pid: required(variable) };
        assert!(paused.signal("-STOP"), "{variable} is no process of this user's");
        paused
    }

    fn signal(&self, signal: &str) -> bool {
        Command::new("kill").args([signal, &self.pid]).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        if !self.signal("-CONT") {
            eprintln!("the process {} can't be told to go on", self.pid);
        }
    }
}
