//! How long payers take.

use std::time::Duration;

/// The time from question to answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Latency {
    /// At once.
    None,
    Fixed(Duration),
    /// Log-normal through `median` and `p95`; `never` is the share (0 to 1) that is not answered at all.
    Realistic {
        median: Duration,
        p95: Duration,
        never: f64,
    },
}

/// The standard normal distribution's 95th percentile.
const Z95: f64 = 1.644_853_626_951_472_7;

impl Latency {
    /// What people know from life: median 2 s, P95 10 s, one in a hundred never.
    pub const fn realistic() -> Self {
        Self::Realistic { median: Duration::from_secs(2), p95: Duration::from_secs(10), never: 0.01 }
    }

    /// `None`: never.
    pub(super) fn sample(&self, random: &mut fastrand::Rng) -> Option<Duration> {
        match *self {
            Self::None => Some(Duration::ZERO),
            Self::Fixed(wait) => Some(wait),
            Self::Realistic { never, .. } if random.f64() < never => None,
            Self::Realistic { median, p95, .. } => {
                let sigma = (p95.as_secs_f64() / median.as_secs_f64()).ln() / Z95;
                let factor = (sigma * normal(random)).exp();
                // A bad configuration gives no number; it must not panic here.
                Some(Duration::try_from_secs_f64(median.as_secs_f64() * factor).unwrap_or(median))
            }
        }
    }
}

/// A sample of the standard normal distribution (Box and Muller).
fn normal(random: &mut fastrand::Rng) -> f64 {
    let (u, v) = (1.0 - random.f64(), random.f64());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_have_the_median_and_p95_that_were_asked_for() {
        let mut random = fastrand::Rng::with_seed(7);
        let all: Vec<_> = (0..20_000).map(|_| Latency::realistic().sample(&mut random)).collect();
        let mut answered: Vec<_> = all.iter().flatten().map(Duration::as_secs_f64).collect();
        answered.sort_by(f64::total_cmp);
        let at = |share: f64| answered[(answered.len() as f64 * share) as usize];
        assert!((1.9..2.1).contains(&at(0.5)), "{}", at(0.5));
        assert!((9.3..10.7).contains(&at(0.95)), "{}", at(0.95));
        let never = all.len() - answered.len();
        assert!((150..250).contains(&never), "{never}");
    }

    #[test]
    fn one_seed_gives_one_row_of_samples() {
        let row = |seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            (0..20).map(|_| Latency::realistic().sample(&mut random)).collect::<Vec<_>>()
        };
        assert_eq!(row(1), row(1));
        assert_ne!(row(1), row(2));
    }

    #[test]
    fn a_senseless_configuration_does_not_panic() {
        let mut random = fastrand::Rng::with_seed(7);
        let latency = Latency::Realistic { median: Duration::ZERO, p95: Duration::ZERO, never: 0.0 };
        assert_eq!(latency.sample(&mut random), Some(Duration::ZERO));
    }
}
