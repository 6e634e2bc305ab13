//! Reading checks as they stand.

use std::sync::Arc;

use prost::Message;
use sluice_schema::{
    error::{ClientError, Code},
    event::RecordedEvent,
    ids::{CheckId, MemberId, TenantId},
    proto::{
        eligibility::{EligibilityCheck, EligibilityCheckChanged},
        header::Subject,
    },
};

use super::events::ENTITY;
use crate::{
    keyring::Keyring,
    publish::{OpenError, member_key, open},
    store::{EventStore, Page, StoreUnavailable},
};

/// Why checks can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreUnavailable),
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The payload opens, but is no message of its type.
    #[error("event {event_id}: {source}")]
    Undecodable { event_id: String, source: prost::DecodeError },
}

impl ReadError {
    /// Store or keyring are away.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Open(OpenError::Keyring(_)))
    }

    /// For the client; the error itself is for the log.
    pub fn to_client(&self) -> ClientError {
        match self {
            Self::Store(_) | Self::Open(OpenError::Keyring(_)) => ClientError::unavailable(),
            Self::Open(OpenError::Unopenable { .. }) | Self::Undecodable { .. } => {
                ClientError::new(Code::Internal, "This eligibility check can't be read. The operator can find out why.")
            }
        }
    }
}

/// A check and the event that it is read from.
#[derive(Debug, Clone)]
pub struct Current {
    pub check: EligibilityCheck,
    pub event: Arc<RecordedEvent>,
}

/// Reads checks. Who may see them is not asked here.
#[derive(Clone)]
pub struct EligibilityReader {
    pub store: Arc<dyn EventStore>,
    pub keyring: Arc<dyn Keyring>,
}

impl EligibilityReader {
    /// For each id the check as it stands; `None` where there is none, or its member was erased.
    pub async fn current(&self, tenant: &TenantId, ids: &[CheckId]) -> Result<Vec<Option<Current>>, ReadError> {
        let subjects: Vec<_> = ids.iter().map(subject).collect();
        let events = self.store.current(tenant, &subjects).await?;
        let mut checks = Vec::with_capacity(events.len());
        for event in events {
            checks.push(match event {
                Some(event) => self.read(tenant, event).await?,
                None => None,
            });
        }
        Ok(checks)
    }

    /// A member's checks, newest first; none where the member was erased.
    pub async fn list(&self, tenant: &TenantId, member: &MemberId, page: &Page) -> Result<Vec<Current>, ReadError> {
        let mut checks = Vec::new();
        for event in self.store.list(tenant, ENTITY, &member_key(member), page).await? {
            checks.extend(self.read(tenant, event).await?);
        }
        Ok(checks)
    }

    /// The state that an `EligibilityCheckChanged` event holds.
    async fn read(&self, tenant: &TenantId, event: Arc<RecordedEvent>) -> Result<Option<Current>, ReadError> {
        let Some(payload) = open(self.keyring.as_ref(), tenant, &event).await? else { return Ok(None) };
        let changed = EligibilityCheckChanged::decode(payload)
            .map_err(|source| ReadError::Undecodable { event_id: event.header.event_id.clone(), source })?;
        Ok(changed.after.map(|check| Current { check, event }))
    }
}

pub(crate) fn subject(id: &CheckId) -> Subject {
    Subject { r#type: ENTITY.into(), id: id.to_string() }
}
