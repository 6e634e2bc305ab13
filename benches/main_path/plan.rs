//! How much, how fast, how long.

use std::time::Duration;

/// What the payer takes, always.
pub(crate) const PAYER: Duration = Duration::from_secs(10);

/// How long after the last request its answer may come.
pub(crate) const TAIL: Duration = Duration::from_secs(25);

/// How often one who polls asks.
pub(crate) const POLL_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// Checks per second.
    pub(crate) rate: u32,
    /// Longer than the payer takes, so that requests and answers both come at the full rate when measuring begins.
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    /// Checks per second of those who poll, and calls per second of those who wait.
    pub(crate) baseline_rate: u32,
    pub(crate) baseline: Duration,
}

impl Plan {
    pub(crate) fn full() -> Self {
        Self {
            rounds: 3,
            rate: 200,
            warm_up: Duration::from_secs(13),
            measured: Duration::from_secs(20),
            baseline_rate: 20,
            baseline: Duration::from_secs(10),
        }
    }

    pub(crate) fn quick() -> Self {
        let short = Duration::from_secs(3);
        Self { rounds: 1, measured: short, baseline: short, ..Self::full() }
    }

    /// How many checks the load asks for.
    pub(crate) fn checks(&self) -> usize {
        count(self.rate, self.warm_up + self.measured)
    }

    /// How many each of the baselines asks for.
    pub(crate) fn baseline_checks(&self) -> usize {
        count(self.baseline_rate, self.baseline)
    }
}

fn count(rate: u32, time: Duration) -> usize {
    rate as usize * usize::try_from(time.as_secs()).expect("seconds of a benchmark")
}
