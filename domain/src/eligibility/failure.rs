//! Why a command was not carried out, and what of it a client may know.

use sluice_schema::{
    error::{ClientError, Code},
    ids::InvalidId,
};

use super::{aggregate::Refused, history::StepError, reader::ReadError};
use crate::{keyring::KeyringUnavailable, publish::Cause, store::AppendError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum AdvanceError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Keyring(#[from] KeyringUnavailable),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("an event can't be made: {0}")]
    Broken(String),
    /// Somebody else was first, again and again.
    #[error("the eligibility check changes too often")]
    Contended,
}

impl AdvanceError {
    /// The rules said no; trying again changes nothing.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// No store will ever take it.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, Self::Append(AppendError::TooLarge { .. }))
    }

    /// A warning; not where a part is away, which is told once by what asks it, not for each who is refused.
    pub(crate) fn log(&self, cause: &Cause, what: &str) {
        let correlation_id = cause.correlation_id.as_str();
        let is_outage = match self {
            Self::Append(AppendError::Unavailable(_)) | Self::Keyring(_) => true,
            Self::Read(error) => error.is_outage(),
            _ => false,
        };
        if is_outage {
            tracing::debug!(correlation_id, error = %self, "{what}");
        } else {
            tracing::warn!(correlation_id, error = %self, "{what}");
        }
    }

    /// For the client. What is a fault of ours is logged under the correlation id, and is not in there.
    pub(crate) fn into_client(self, cause: &Cause) -> ClientError {
        if !matches!(self, Self::Refused(_) | Self::Append(AppendError::IdempotencyConflict)) {
            self.log(cause, "an eligibility command failed");
        }
        match self {
            Self::Refused(Refused::Missing) => ClientError::not_found(),
            Self::Refused(Refused::AlreadyFinished) => {
                ClientError::new(Code::Conflict, "The check is finished; there is nothing to call off any more.")
            }
            Self::Refused(Refused::AlreadyRequested) | Self::Contended | Self::Append(AppendError::Conflict { .. }) => {
                ClientError::new(Code::Conflict, "Somebody else changed the check at the same time. Try again.")
            }
            Self::Append(AppendError::IdempotencyConflict) => ClientError::new(
                Code::IdempotencyConflict,
                "This idempotency key was used with another input. Use a new key for a new request.",
            )
            .at("idempotencyKey"),
            Self::Append(AppendError::TooLarge { largest, .. }) => ClientError::new(
                Code::LimitExceeded,
                format!("The check would be larger than can be kept: {largest} bytes is the most. Nothing was stored."),
            ),
            Self::Append(AppendError::Unavailable(_)) => ClientError::new(
                Code::Unavailable,
                "It is not known whether this was stored. Send it again, with the same idempotency key if it had one.",
            ),
            Self::Keyring(_) => ClientError::unavailable(),
            Self::Read(error) => error.to_client(),
            Self::Broken(_) => {
                ClientError::new(Code::Internal, "This is a fault of the service. The operator finds it in the log.")
                    .with("correlationId", cause.correlation_id.as_str())
            }
        }
    }
}

impl From<StepError> for AdvanceError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Refused(refused) => Self::Refused(refused),
            StepError::Keyring(error) => Self::Keyring(error),
            StepError::Seal(error) => Self::Broken(error.to_string()),
            StepError::Id(error) => Self::Broken(error.to_string()),
        }
    }
}

impl From<InvalidId> for AdvanceError {
    fn from(error: InvalidId) -> Self {
        Self::Broken(error.to_string())
    }
}
