//! Ctrl-C and its like. What runs is told to end; then this program ends in order, so that what it started is stopped.
//!
//! Every program runs in a process group of its own: the terminal's Ctrl-C reaches only this one, which passes it on. So
//! services are still there while the tests end, and a test runner's children end with it.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::wait;

const END: Duration = Duration::from_secs(10);

struct State {
    signal: Option<i32>,
    groups: Vec<Pid>,
}

static STATE: Mutex<State> = Mutex::new(State { signal: None, groups: Vec::new() });
static ARRIVED: Condvar = Condvar::new();

/// From here on Ctrl-C, SIGTERM and SIGHUP end this program in order.
pub(crate) fn listen() -> Result<(), String> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|e| format!("signals cannot be heard: {e}"))?;
    std::thread::spawn(move || signals.forever().for_each(arrived));
    Ok(())
}

/// The signal that asked this program to end.
pub(crate) fn signal() -> Option<i32> {
    state().signal
}

/// Whether this program was asked to end.
pub(crate) fn requested() -> bool {
    signal().is_some()
}

/// Blocks until this program is asked to end.
pub(crate) fn wait_for_one() {
    let waited = ARRIVED.wait_while(state(), |state| state.signal.is_none());
    drop(waited);
}

/// Whoever asks twice does not want to wait.
fn arrived(signal: i32) {
    let mut state = state();
    if state.signal.is_some() {
        send(&state.groups, Signal::KILL);
        return;
    }
    eprintln!("\nxtask: stopping; once more kills what does not end");
    state.signal = Some(signal);
    send(&state.groups, Signal::TERM);
    ARRIVED.notify_all();
    std::thread::spawn(kill_what_stays);
}

fn kill_what_stays() {
    if wait::until(END, || state().groups.is_empty().then_some(())).is_none() {
        send(&state().groups, Signal::KILL);
    }
}

fn send(groups: &[Pid], signal: Signal) {
    for group in groups {
        let _ = kill_process_group(*group, signal);
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program that is told to end when this one is. It and its children are killed where it is dropped before its end.
pub(crate) struct Running {
    pub(crate) child: Child,
    group: Pid,
}

impl Running {
    /// Starts it, with nothing to read; not where this program is already ending.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut state = state();
        if state.signal.is_some() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "xtask is stopping"));
        }
        let child = command.process_group(0).stdin(Stdio::null()).spawn()?;
        let group = Pid::from_child(&child);
        state.groups.push(group);
        Ok(Self { child, group })
    }

    pub(crate) fn wait(mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = matches!(self.child.try_wait(), Ok(Some(_)));
        if !ended {
            let _ = kill_process_group(self.group, Signal::KILL);
            let _ = self.child.wait();
        } else if requested() {
            let gone = || test_kill_process_group(self.group).is_err().then_some(());
            if wait::until(END, gone).is_none() {
                let _ = kill_process_group(self.group, Signal::KILL);
            }
        }
        state().groups.retain(|group| *group != self.group);
    }
}
