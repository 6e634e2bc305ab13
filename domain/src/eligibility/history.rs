//! The way from a check's stream to its state, and on by one command.

use std::sync::Arc;

use jiff::Timestamp;
use sluice_schema::{
    channel::Channel,
    event::{NewEvent, StreamId},
    ids::{CheckId, InvalidId, MemberId, TenantId},
    proto::{
        eligibility::{EligibilityCheck, EligibilityCheckChanged},
        header::Provenance,
    },
    sealed::Unopenable,
};

use super::{
    aggregate::{Command, Refused, decide, evolve},
    events::Happened,
    reader::{ReadError, subject},
};
use crate::{
    changes::changed,
    keyring::{Keyring, KeyringUnavailable},
    publish::{Cause, Envelope, member_key, open, timestamp},
    store::EventStore,
};

/// Where a check's stream ends.
#[derive(Debug, Default)]
pub(super) struct History {
    /// `None`: there is no check, or its member was erased.
    pub(super) check: Option<EligibilityCheck>,
    pub(super) version: u64,
}

/// Folds a check's events.
pub(super) async fn load(
    store: &dyn EventStore,
    keyring: &dyn Keyring,
    tenant: &TenantId,
    id: &CheckId,
) -> Result<History, ReadError> {
    let mut history = History::default();
    for event in store.load(tenant, &StreamId::of_subject(&subject(id))).await? {
        history.version = event.version;
        let Some(payload) = open(keyring, tenant, &event).await? else { return Ok(History::default()) };
        let happened = Happened::decode(&event.header.r#type, &payload)
            .map_err(|source| ReadError::Undecodable { event_id: event.header.event_id.clone(), source })?;
        if let Some(happened) = happened {
            let at = event.header.occurred_at.unwrap_or_default();
            history.check = Some(evolve(history.check.as_ref(), &happened, at));
        }
    }
    Ok(history)
}

/// Who acts, when, and what from.
#[derive(Debug, Clone)]
pub(super) struct Act {
    pub(super) tenant: TenantId,
    pub(super) at: Timestamp,
    pub(super) producer: Arc<str>,
    pub(super) cause: Cause,
    pub(super) provenance: Provenance,
}

/// What one command brings about, ready to be appended.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) after: EligibilityCheck,
    pub(super) events: Vec<NewEvent>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Keyring(#[from] KeyringUnavailable),
    #[error(transparent)]
    Seal(#[from] Unopenable),
    /// The check holds an id that is none: it was not written by this program.
    #[error(transparent)]
    Id(#[from] InvalidId),
}

/// Decides, and seals what happened with the change of state that it makes.
pub(super) async fn step(
    keyring: &dyn Keyring,
    before: Option<&EligibilityCheck>,
    command: Command,
    act: &Act,
) -> Result<Step, StepError> {
    let happened = decide(before, command)?;
    // One instant, also where it has passed through a header: replay gives what was live.
    let at = timestamp(act.at);
    let after = happened.iter().fold(before.cloned(), |check, event| Some(evolve(check.as_ref(), event, at)));
    let after = after.unwrap_or_default();
    let member: MemberId = after.member_id.parse()?;
    let key = keyring.create_or_get(&act.tenant, &member_key(&member)).await?;
    let envelope = envelope(act, &member, &after.id.parse()?);
    let mut events = Vec::with_capacity(happened.len() + 1);
    for event in &happened {
        events.push(envelope.seal(&key, event.type_name(), &event.encode())?);
    }
    let changed = EligibilityCheckChanged {
        before: before.cloned(),
        after: Some(after.clone()),
        changed: changed(before, &after),
    };
    events.push(envelope.seal_state(&key, &changed)?);
    Ok(Step { after, events })
}

fn envelope(act: &Act, member: &MemberId, check: &CheckId) -> Envelope {
    Envelope {
        tenant: act.tenant.clone(),
        subject: subject(check),
        routing_key: member_key(member),
        channel: Channel::eligibility_check(member, check),
        occurred_at: act.at,
        producer: act.producer.to_string(),
        cause: act.cause.clone(),
        provenance: act.provenance.clone(),
    }
}
