//! From a requested check to its outcome: the process manager that asks the payer.

use std::{sync::Arc, time::Duration};

use prost::{Message, Name};
use sluice_schema::{
    event::RecordedEvent,
    ids::{CheckId, TenantId},
    proto::{
        eligibility::{EligibilityCheckRequested, EligibilityState},
        header::Provenance,
    },
};
use tokio::time::{Instant, sleep};

use super::{
    aggregate::Command,
    asking::{ask, too_large},
    commands::EligibilityService,
    failure::AdvanceError,
    history::load,
    payer::{Payer, PayerRequest},
};
use crate::publish::{Cause, open};

/// How long, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessConfig {
    /// How long the payer has, all tries together. Payers give up after a minute, clearinghouses later.
    pub deadline: Duration,
    /// The wait before the second question; it doubles from one to the next, and a random part of it is left out.
    pub first_wait: Duration,
    pub longest_wait: Duration,
    /// How often an outcome is stored anew before the worker is told.
    pub record_tries: u32,
}

impl Default for ProcessConfig {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(120),
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(30),
            record_tries: 6,
        }
    }
}

/// The event is not dealt with: hand it in again, and do not let the checkpoint pass it.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The store or the keyring is away.
    #[error("the outcome of an eligibility check can't be recorded now: {0}")]
    Unavailable(String),
    /// The event itself is damaged; trying again will not help without an operator.
    #[error("event {event_id} can't be read: {why}")]
    Unreadable { event_id: String, why: String },
}

/// Asks payers, and records what they say. Each event may be handed in more than once, also at the same time.
#[derive(Clone)]
pub struct EligibilityProcess {
    service: EligibilityService,
    payer: Arc<dyn Payer>,
    config: ProcessConfig,
}

/// What a requested event says, parsed.
struct Requested {
    tenant: TenantId,
    request: PayerRequest,
    cause: Cause,
    provenance: Provenance,
}

impl EligibilityProcess {
    pub fn new(service: EligibilityService, config: ProcessConfig) -> Self {
        let payer = service.payer.clone();
        Self { service, payer, config }
    }

    /// Deals with an event of the log. `Ok`: it is dealt with for good. Takes as long as the payer does.
    pub async fn handle(&self, event: &RecordedEvent) -> Result<(), ProcessError> {
        if event.header.r#type != EligibilityCheckRequested::full_name() {
            return Ok(());
        }
        let Some(requested) = self.read(event).await? else { return Ok(()) };
        if !self.is_open(&requested).await? {
            return Ok(());
        }
        let command = ask(self.payer.as_ref(), &requested.request, &self.config).await;
        self.record(&requested, command).await
    }

    /// `None` where the member was erased: there is nobody left to ask about.
    async fn read(&self, event: &RecordedEvent) -> Result<Option<Requested>, ProcessError> {
        let unreadable = |why: String| ProcessError::Unreadable { event_id: event.header.event_id.clone(), why };
        let tenant: TenantId = event.header.tenant.parse().map_err(|error| unreadable(format!("{error}")))?;
        let opened = open(self.service.keyring.as_ref(), &tenant, event).await.map_err(unavailable)?;
        let Some(payload) = opened else { return Ok(None) };
        let event_payload =
            EligibilityCheckRequested::decode(payload).map_err(|error| unreadable(error.to_string()))?;
        let request = payer_request(event_payload).map_err(|error| unreadable(error.to_string()))?;
        let cause = Cause {
            correlation_id: event.header.correlation_id.clone(),
            causation_id: event.header.event_id.clone(),
            traceparent: event.header.traceparent.clone(),
        };
        let on_behalf_of = event.header.provenance.clone().unwrap_or_default();
        let provenance = Provenance { system: "clearinghouse".into(), ..on_behalf_of };
        Ok(Some(Requested { tenant, request, cause, provenance }))
    }

    async fn is_open(&self, requested: &Requested) -> Result<bool, ProcessError> {
        let (store, keyring) = (self.service.store.as_ref(), self.service.keyring.as_ref());
        let history = load(store, keyring, &requested.tenant, &requested.request.check).await.map_err(unavailable)?;
        Ok(history.check.is_some_and(|check| check.state() == EligibilityState::Accepted))
    }

    /// An answer that no store takes must not be tried for ever: the check fails instead.
    async fn record(&self, requested: &Requested, command: Command) -> Result<(), ProcessError> {
        let recorded = match self.try_to_record(requested, command).await {
            Err(error) if error.is_too_large() => self.try_to_record(requested, too_large(&requested.request)).await,
            recorded => recorded,
        };
        recorded.map_err(unavailable)
    }

    /// Keeps the answer while the store is away for a moment; for longer, the worker comes again.
    async fn try_to_record(&self, requested: &Requested, command: Command) -> Result<(), AdvanceError> {
        let Requested { tenant, request, cause, provenance } = requested;
        let mut wait = self.config.first_wait;
        for _ in 1..self.config.record_tries {
            match self.service.record(tenant, &request.check, command.clone(), cause, provenance).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_too_large() => return Err(error),
                Err(error) => error.log(cause, "an outcome waits to be stored"),
            }
            sleep(jittered(wait)).await;
            wait = self.config.longest_wait.min(wait * 2);
        }
        self.service.record(tenant, &request.check, command, cause, provenance).await.map(drop)
    }
}

fn unavailable(error: impl std::fmt::Display) -> ProcessError {
    ProcessError::Unavailable(error.to_string())
}

fn payer_request(event: EligibilityCheckRequested) -> Result<PayerRequest, sluice_schema::ids::InvalidId> {
    Ok(PayerRequest {
        check: event.check_id.parse::<CheckId>()?,
        payer: event.payer_id.unwrap_or_default().parse()?,
        provider: event.provider.unwrap_or_default(),
        subscriber: event.subscriber.unwrap_or_default(),
        service_type_codes: event.service_type_codes,
        date_of_service: event.date_of_service,
    })
}

/// Between half of `wait` and all of it, so that those who wait together don't come back together.
pub(super) fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(1.0 - fastrand::f64() / 2.0)
}

/// The time that is left, or `None`.
pub(super) fn left(until: Instant) -> Option<Duration> {
    until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
