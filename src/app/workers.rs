//! What runs behind the log: each worker, and what it does with an event.

use async_trait::async_trait;
use prost::Name;
use sluice_domain::eligibility::process::{EligibilityProcess, ProcessError};
use sluice_schema::{event::RecordedEvent, proto::eligibility::EligibilityCheckRequested};
use sluice_subscriptions::worker::{Handler, HandlerError};

/// Asks the payer for each requested check.
pub(super) struct AskPayer(pub(super) EligibilityProcess);

#[async_trait]
impl Handler for AskPayer {
    fn wants(&self, event_type: &str) -> bool {
        event_type == EligibilityCheckRequested::full_name()
    }

    async fn handle(&self, event: &RecordedEvent) -> Result<(), HandlerError> {
        match self.0.handle(event).await {
            Ok(()) => Ok(()),
            Err(error @ ProcessError::Unavailable(_)) => Err(HandlerError(error.to_string())),
            Err(error @ ProcessError::Unreadable { .. }) => {
                // It will not become readable by itself, and must not hold up all behind it: an operator is told.
                metrics::counter!("sluice_events_unreadable_total").increment(1);
                tracing::error!(%error, "a requested check is passed over");
                Ok(())
            }
        }
    }
}
