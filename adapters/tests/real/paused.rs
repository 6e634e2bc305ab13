//! A process that is there, holds its connections, and does nothing. Also for `tests/real_faults`.

use std::{
    fs, io,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Far more than it ever takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// SIGSTOP, and waits until every thread of the process stands still: `kill` comes back sooner, and one that still runs may
/// answer once more.
pub(crate) fn pause(pid: &str) {
    assert!(signal("-STOP", pid), "{pid} is no process of this user's");
    let until = Instant::now() + PATIENCE;
    while !stands_still(pid).unwrap() {
        assert!(Instant::now() < until, "{pid} does not stop");
        thread::yield_now();
    }
}

/// SIGCONT; whether there was something to signal.
pub(crate) fn go_on(pid: &str) -> bool {
    signal("-CONT", pid)
}

fn signal(signal: &str, pid: &str) -> bool {
    Command::new("kill").args([signal, pid]).status().is_ok_and(|status| status.success())
}

/// The state is behind the name, in parentheses (proc_pid_stat(5)).
fn stands_still(pid: &str) -> io::Result<bool> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile.
        let stat = fs::read_to_string(task?.path().join("stat")).unwrap_or_default();
        if stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('T')) {
            return Ok(false);
        }
    }
    Ok(true)
}
