use std::{pin::Pin, time::Duration};

use jiff::Timestamp;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{super::config::TransportConfig, protocol::Input};

/// The longest that is slept at a time: the wall clock, which tokens go by, may be set meanwhile.
const RECHECK: Duration = Duration::from_secs(3600);

/// The clock of one socket: first for `connection_init`, then for pings and the end of the token. One timer serves all.
pub(super) struct Timers {
    sleep: Pin<Box<Sleep>>,
    ping_interval: Duration,
    phase: Phase,
}

enum Phase {
    Init,
    Over,
    Acknowledged { ping: Instant, expires: Timestamp },
}

impl Timers {
    pub(super) fn new(config: &TransportConfig) -> Self {
        let sleep = Box::pin(sleep_until(Instant::now() + config.init_timeout));
        Self { sleep, ping_interval: config.ping_interval, phase: Phase::Init }
    }

    /// The client is known, until `expires`. Only the first call counts.
    pub(super) fn acknowledged(&mut self, expires: Timestamp) {
        if !matches!(self.phase, Phase::Acknowledged { .. }) {
            self.arm(Instant::now() + self.ping_interval, expires);
        }
    }

    fn arm(&mut self, ping: Instant, expires: Timestamp) {
        let end = Instant::now() + left(expires).min(RECHECK);
        self.phase = Phase::Acknowledged { ping, expires };
        self.sleep.as_mut().reset(ping.min(end));
    }

    /// Waits for what is due next. It may be dropped and called again.
    pub(super) async fn due(&mut self) -> Input<'static> {
        loop {
            if matches!(self.phase, Phase::Over) {
                std::future::pending::<()>().await;
            }
            self.sleep.as_mut().await;
            if let Some(input) = self.rung() {
                return input;
            }
        }
    }

    fn rung(&mut self) -> Option<Input<'static>> {
        match self.phase {
            Phase::Init => {
                self.phase = Phase::Over;
                Some(Input::InitTimeout)
            }
            Phase::Acknowledged { expires, .. } if left(expires).is_zero() => {
                self.phase = Phase::Over;
                Some(Input::TokenExpired)
            }
            Phase::Acknowledged { ping, expires } if ping <= Instant::now() => {
                self.arm(Instant::now() + self.ping_interval, expires);
                Some(Input::PingDue)
            }
            Phase::Acknowledged { ping, expires } => {
                self.arm(ping, expires);
                None
            }
            Phase::Over => None,
        }
    }
}

fn left(expires: Timestamp) -> Duration {
    Duration::try_from(expires.duration_since(Timestamp::now())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> TransportConfig {
        let seconds = Duration::from_secs;
        TransportConfig { init_timeout: seconds(3), ping_interval: seconds(12), ..TransportConfig::default() }
    }

    /// Whether nothing is due for a day.
    async fn is_silent(timers: &mut Timers) -> bool {
        tokio::time::timeout(Duration::from_secs(86_400), timers.due()).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_say_who_he_is_is_waited_for_once() {
        let (begun, mut timers) = (Instant::now(), Timers::new(&config()));
        assert!(matches!(timers.due().await, Input::InitTimeout));
        assert_eq!(begun.elapsed().as_secs(), 3);
        assert!(is_silent(&mut timers).await);
    }

    #[tokio::test(start_paused = true)]
    async fn pings_are_due_at_their_times_whatever_else_happens() {
        let (begun, mut timers) = (Instant::now(), Timers::new(&config()));
        tokio::time::advance(Duration::from_secs(2)).await;
        timers.acknowledged(Timestamp::MAX);
        for ping in 1..=400 {
            // Something else was to be done first, and it was asked who the client is again.
            assert!(tokio::time::timeout(Duration::from_secs(5), timers.due()).await.is_err());
            timers.acknowledged(Timestamp::UNIX_EPOCH);
            assert!(matches!(timers.due().await, Input::PingDue));
            assert_eq!(begun.elapsed().as_secs(), 2 + 12 * ping);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_has_ended_is_told_once_and_nothing_behind_it() {
        let mut timers = Timers::new(&config());
        timers.acknowledged(Timestamp::UNIX_EPOCH);
        assert!(matches!(timers.due().await, Input::TokenExpired));
        assert!(is_silent(&mut timers).await);
    }
}
