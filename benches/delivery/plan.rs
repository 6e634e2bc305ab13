//! How much of what.

use crate::command::{Command, Events};

/// How many sockets take part in any case.
const QUICK: u32 = 1000;

/// What is asked for on the command line.
pub(crate) struct Plan {
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    /// Whether the figures go into docs/benchmarks.md.
    pub(crate) writes: bool,
    scenarios: Vec<String>,
    servers: Vec<String>,
    /// How many sockets a process may have.
    pub(crate) descriptors: u32,
}

impl Plan {
    pub(crate) fn of(args: &[String], descriptors: u32) -> Self {
        let values = |flag: &str| -> Vec<String> {
            let at = args.iter().position(|arg| arg == flag);
            let list = at.and_then(|at| args.get(at + 1)).map(String::as_str).unwrap_or_default();
            list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let quick = args.iter().any(|arg| arg == "--quick");
        let rounds = values("--rounds").first().and_then(|rounds| rounds.parse().ok());
        Self {
            quick,
            writes: args.iter().any(|arg| arg == "--write"),
            rounds: rounds.unwrap_or(if quick { 1 } else { 3 }),
            scenarios: values("--scenario"),
            servers: values("--server"),
            descriptors,
        }
    }

    /// Whether this scenario is wanted; `fan-out` asks for `fan-out-1k` too.
    pub(crate) fn wants(&self, scenario: &str) -> bool {
        self.scenarios.is_empty() || self.scenarios.iter().any(|wanted| scenario.starts_with(wanted.as_str()))
    }

    pub(crate) fn takes(&self, server: &str) -> bool {
        self.servers.is_empty() || self.servers.iter().any(|wanted| wanted == server)
    }

    /// Fewer than thousands where it is to be quick, and no more than there are descriptors for.
    pub(crate) fn sockets(&self, sockets: u32) -> u32 {
        let some = if self.quick && sockets > QUICK { (sockets / 5).max(QUICK) } else { sockets };
        some.min(self.descriptors)
    }

    /// Seconds of a steady load.
    pub(crate) fn seconds(&self) -> f64 {
        if self.quick { 1.0 } else { 2.0 }
    }

    /// Seconds of one whose latencies are looked at.
    pub(crate) fn long_seconds(&self) -> f64 {
        if self.quick { 1.5 } else { 3.0 }
    }

    /// Some events a second for a while, and how many that is.
    pub(crate) fn paced(&self, rate: f64, channels: u32) -> (Vec<Command>, u64) {
        let events = (rate * self.seconds()).round() as u64;
        (vec![Command::Paced { rate, events: Events { events, channels, first: 0 } }], events)
    }
}

/// So many events at once, so many times.
pub(crate) fn bursts(events: u64, channels: u32, times: usize) -> (Vec<Command>, u64) {
    (vec![Command::Burst(Events { events, channels, first: 0 }); times], events * times as u64)
}
