//! One of the parts, paused for a while.

use crate::{installation::required, standstill};

/// SIGSTOP. It goes on when this is dropped, whatever else went wrong.
pub(crate) struct Paused {
    pid: String,
}

impl Paused {
    /// `variable`: where its process id stands in the environment.
    pub(crate) fn begin(variable: &str) -> Self {
        let paused = Self { pid: required(variable) };
        standstill::pause(&paused.pid);
        paused
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        if !standstill::go_on(&self.pid) {
            eprintln!("the process {} can't be told to go on", self.pid);
        }
    }
}
