//! What arrived.

use hdrhistogram::Histogram;

/// The longest latency that is told apart, in nanoseconds.
const LONGEST: u64 = 120_000_000_000;

pub(crate) struct Tally {
    pub(crate) delivered: u64,
    /// Bytes of messages, frames' heads not counted.
    pub(crate) bytes: u64,
    /// Numbers that were left out.
    pub(crate) lost: u64,
    /// Numbers that came again, or behind a later one.
    pub(crate) repeated: u64,
    /// Messages that are not what the event says.
    pub(crate) wrong: u64,
    /// Connections that ended.
    pub(crate) ended: u64,
    pub(crate) pings: u64,
    /// From the due time to the arrival, nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// The first complaint, as it came.
    pub(crate) complaint: Option<String>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            delivered: 0,
            bytes: 0,
            lost: 0,
            repeated: 0,
            wrong: 0,
            ended: 0,
            pings: 0,
            latency: Histogram::new_with_bounds(1000, LONGEST, 3).expect("these bounds are allowed"),
            complaint: None,
        }
    }
}

impl Tally {
    pub(crate) fn arrived(&mut self, due: u64, now: u64, bytes: usize) {
        self.delivered += 1;
        self.bytes += bytes as u64;
        self.latency.saturating_record(now.saturating_sub(due));
    }

    pub(crate) fn complain(&mut self, what: &str) {
        self.complaint.get_or_insert_with(|| what.chars().take(600).collect());
    }

    /// Milliseconds at a share from 0 to 1.
    pub(crate) fn at(&self, share: f64) -> f64 {
        self.latency.value_at_quantile(share) as f64 / 1e6
    }
}
