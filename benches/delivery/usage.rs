//! What a server has used, from /proc.

use std::{collections::HashMap, fs};

/// Linux reports CPU time in hundredths of a second (USER_HZ), whatever the kernel's own tick.
const TICK: f64 = 0.01;

#[derive(Clone)]
pub(crate) struct Usage {
    /// Nanoseconds on a processor, by thread (proc_pid_schedstat(5)).
    threads: HashMap<String, u64>,
    /// Of the whole process, with threads that have ended, in ticks (proc_pid_stat(5)).
    seconds: f64,
    pub(crate) resident_kib: f64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Result<Self, String> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|e| format!("{file}: {e}"));
        let (stat, status) = (read("stat")?, read("status")?);
        // The name, in parentheses, may hold spaces; user and system time are the 12th and 13th behind it.
        let behind_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let ticks: f64 = behind_name.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: Option<f64> = resident.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| error.to_string())?;
        let threads = tasks.flatten().filter_map(|task| {
            let thread = task.file_name().to_string_lossy().into_owned();
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            Some((thread, text.split(' ').next()?.parse().ok()?))
        });
        Ok(Self { threads: threads.collect(), seconds: ticks * TICK, resident_kib: kib.ok_or("no VmRSS")? })
    }

    /// Seconds on a processor since `before`. Ticks are coarse, and threads that have ended are in no list: where the two
    /// differ by more than ticks do, the ticks are right.
    pub(crate) fn since(&self, before: &Self) -> f64 {
        let used =
            |(thread, now): (&String, &u64)| now.saturating_sub(before.threads.get(thread).copied().unwrap_or(0));
        let fine = self.threads.iter().map(used).sum::<u64>() as f64 / 1e9;
        let coarse = self.seconds - before.seconds;
        if coarse - fine > 3.0 * TICK { coarse } else { fine }
    }
}
