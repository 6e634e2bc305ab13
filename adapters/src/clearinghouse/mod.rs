//! A clearinghouse with invented payers' answers, so that Sluice runs with nothing installed. docs/clearinghouse.md lists what
//! it answers to which input.
//!
//! It writes the JSON that Stedi would send and reads it with [`crate::stedi`], so that the way of a real answer is the one
//! that is tried.

mod answers;
mod latency;
mod plausible;
mod row;

use std::{
    collections::HashMap,
    future::pending,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use sluice_domain::eligibility::payer::{Payer, PayerAnswer, PayerError, PayerRequest};
use sluice_schema::ids::{CheckId, PayerId};

use self::answers::Scripted;
pub use self::{answers::PAYERS, latency::Latency};
use crate::stedi;

/// Answers as a clearinghouse would, after a while.
pub struct SimulatedClearinghouse {
    latency: Latency,
    state: Mutex<State>,
}

struct State {
    random: fastrand::Rng,
    /// Checks whose payer is about to recover: how often they were asked about.
    recovering: HashMap<CheckId, u32>,
}

impl SimulatedClearinghouse {
    /// `seed` makes the latencies repeatable; the answers follow from the questions alone.
    pub fn new(latency: Latency, seed: u64) -> Self {
        let state = State { random: fastrand::Rng::with_seed(seed), recovering: HashMap::new() };
        Self { latency, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here is half done when a thread panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as this answer takes.
    async fn wait(&self) {
        let wait = self.latency.sample(&mut self.state().random);
        match wait {
            Some(wait) if wait.is_zero() => {}
            Some(wait) => tokio::time::sleep(wait).await,
            None => pending().await,
        }
    }

    /// Whether the payer is still away: for the first `times` questions about a check.
    fn is_away(&self, check: &CheckId, times: u32) -> bool {
        let recovering = &mut self.state().recovering;
        let asked = recovering.entry(check.clone()).or_default();
        *asked += 1;
        let away = *asked <= times;
        if !away {
            recovering.remove(check);
        }
        away
    }
}

#[async_trait]
impl Payer for SimulatedClearinghouse {
    fn knows(&self, payer: &PayerId) -> bool {
        PAYERS.iter().any(|(id, _)| *id == payer.as_str())
    }

    async fn check(&self, request: &PayerRequest) -> Result<PayerAnswer, PayerError> {
        let scripted = answers::scripted(request);
        self.wait().await;
        let day = date_of(request);
        let body = match scripted {
            Scripted::Plain(answer) => answer(request, day),
            Scripted::Recovers { away, times, .. } if self.is_away(&request.check, times) => away(request, day),
            Scripted::Recovers { then, .. } => then(request, day),
            Scripted::Garbled => return stedi::decode(b"<html>Service temporarily moved</html>"),
            Scripted::Never => pending().await,
        };
        stedi::decode(body.to_string().as_bytes())
    }
}

/// The day of the visit, or today.
fn date_of(request: &PayerRequest) -> Date {
    let wanted = request.date_of_service.as_deref().and_then(|text| text.parse().ok());
    wanted.unwrap_or_else(|| TimeZone::UTC.to_datetime(Timestamp::now()).date())
}

#[cfg(test)]
mod process_tests;
#[cfg(test)]
mod tests;
