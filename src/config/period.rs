use std::{fmt, str::FromStr, time::Duration};

use jiff::{SignedDuration, Span, SpanRelativeTo, fmt::friendly::SpanPrinter};

/// A length of time as people write it: `7d`, `36h`, `1h 30m`; a day is 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// The text is no length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a length of time of at least a second, such as \"7d\", \"36h\" or \"1h 30m\"")]
pub struct BadPeriod;

impl Period {
    pub const fn hours(hours: u64) -> Self {
        Self(Duration::from_secs(hours * 3600))
    }
}

impl FromStr for Period {
    type Err = BadPeriod;

    fn from_str(text: &str) -> Result<Self, BadPeriod> {
        let span: Span = text.parse().map_err(|_| BadPeriod)?;
        let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| BadPeriod)?;
        let period = Duration::try_from(signed).map_err(|_| BadPeriod)?;
        if period < Duration::from_secs(1) { Err(BadPeriod) } else { Ok(Self(period)) }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.as_secs() / 86_400;
        if days > 0 && self.0 == Duration::from_secs(days * 86_400) {
            return write!(f, "{days}d");
        }
        let signed = SignedDuration::try_from(self.0).map_err(|_| fmt::Error)?;
        f.write_str(&SpanPrinter::new().duration_to_string(&signed))
    }
}

impl<'de> serde::Deserialize<'de> for Period {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, seconds) in [("7d", 604_800), ("168h", 604_800), ("1h 30m", 5_400), ("2 days", 172_800), ("1s", 1)] {
            assert_eq!(text.parse(), Ok(Period(Duration::from_secs(seconds))), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_length_of_time() {
        for text in ["", "7", "soon", "-7d", "0s", "200ms", "1 month", "7d ago", "99999999999999999999d"] {
            assert_eq!(text.parse::<Period>(), Err(BadPeriod), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_it_prints_it_reads(seconds in 1u64..10_000_000) {
            let period = Period(Duration::from_secs(seconds));
            prop_assert_eq!(period.to_string().parse(), Ok(period));
        }
    }
}
