//! The clock of rate limits: tokio's, which stands still where a test has stopped it.

use governor::{clock::Clock, nanos::Nanos};
use tokio::time::Instant;

#[derive(Debug, Clone)]
pub(crate) struct TokioClock {
    begun: Instant,
}

impl TokioClock {
    pub(crate) fn start() -> Self {
        Self { begun: Instant::now() }
    }
}

impl Clock for TokioClock {
    /// Since it was started.
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.begun.elapsed().into()
    }
}
