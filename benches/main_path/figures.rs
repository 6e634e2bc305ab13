//! Latencies, and what rounds have in common.

use std::time::Duration;

use hdrhistogram::Histogram;

/// In microseconds, four digits: at ten seconds that is a millisecond.
#[derive(Clone)]
pub(crate) struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new(4).expect("four digits are allowed"))
    }
}

impl Latencies {
    pub(crate) fn record(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0.record(micros).expect("the histogram grows with what it holds");
    }

    /// Milliseconds at a share from 0 to 1.
    pub(crate) fn at(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1000.0
    }

    pub(crate) fn max(&self) -> f64 {
        self.0.max() as f64 / 1000.0
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }
}

/// The same figure of several rounds.
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of at least one figure.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (first, last) = (0, figures.len() - 1);
        Self { min: figures[first], median: figures[figures.len() / 2], max: figures[last] }
    }

    /// `median (min–max)`.
    pub(crate) fn text(&self) -> String {
        let Self { min, median, max } = self;
        format!("{median:.2} ({min:.2}–{max:.2})")
    }
}
