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
    now: fn() -> Timestamp,
}

enum Phase {
    Init,
    Over,
    Acknowledged { ping: Instant, expires: Timestamp },
}

impl Timers {
    pub(super) fn new(config: &TransportConfig) -> Self {
        Self::by(config, Timestamp::now)
    }

    /// By a wall clock.
    fn by(config: &TransportConfig, now: fn() -> Timestamp) -> Self {
        let sleep = Box::pin(sleep_until(Instant::now() + config.init_timeout));
        Self { sleep, ping_interval: config.ping_interval, phase: Phase::Init, now }
    }

    /// The client is known, until `expires`. To be called again wherever that may have moved.
    pub(super) fn acknowledged(&mut self, expires: Timestamp) {
        match self.phase {
            Phase::Acknowledged { ping, expires: before } if before != expires => self.arm(ping, expires),
            Phase::Acknowledged { .. } => {}
            Phase::Init | Phase::Over => self.arm(Instant::now() + self.ping_interval, expires),
        }
    }

    fn left(&self, expires: Timestamp) -> Duration {
        Duration::try_from(expires.duration_since((self.now)())).unwrap_or_default()
    }

    fn arm(&mut self, ping: Instant, expires: Timestamp) {
        let end = Instant::now() + self.left(expires).min(RECHECK);
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
            Phase::Acknowledged { expires, .. } if self.left(expires).is_zero() => {
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
            // Something else was to be done first, such as a newer token.
            assert!(tokio::time::timeout(Duration::from_secs(5), timers.due()).await.is_err());
            timers.acknowledged(Timestamp::MAX - Duration::from_secs(ping));
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

    /// A wall clock that goes as the paused one does.
    fn wall() -> Timestamp {
        thread_local!(static BEGUN: Instant = Instant::now());
        Timestamp::UNIX_EPOCH + BEGUN.with(Instant::elapsed)
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// When a token ends that was renewed after 20 s.
    async fn ends(until: Timestamp, renewed: Timestamp) -> u64 {
        wall();
        let config = TransportConfig { ping_interval: Duration::from_secs(86_400), ..config() };
        let (begun, mut timers) = (Instant::now(), Timers::by(&config, wall));
        timers.acknowledged(until);
        assert!(tokio::time::timeout(Duration::from_secs(20), timers.due()).await.is_err());
        timers.acknowledged(renewed);
        assert!(matches!(timers.due().await, Input::TokenExpired));
        begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewed_token_ends_at_its_own_time_and_not_at_the_older_ones() {
        assert_eq!(ends(second(60), second(900)).await, 900);
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_token_may_end_sooner() {
        assert_eq!(ends(second(900), second(60)).await, 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_token_that_has_ended_ends_at_once() {
        assert_eq!(ends(second(900), second(10)).await, 20);
    }
}
