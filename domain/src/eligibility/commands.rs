//! What people, and the process on their behalf, do to checks. Whether they may is decided before.

use std::sync::Arc;

use jiff::tz::TimeZone;
use prost::Message;
use sluice_schema::{
    error::ClientError,
    event::StreamId,
    ids::{CheckId, TenantId},
    position::{Position, ReadVector},
    proto::{
        eligibility::{EligibilityCheck, EligibilityCheckRequested},
        header::Provenance,
    },
    viewer::Viewer,
};

use super::{
    aggregate::{Command, Refused, RequestEligibilityCheck},
    failure::AdvanceError,
    history::{Act, Step, load, step},
    input::{self, RequestInput},
    payer::Payer,
    reader::{EligibilityReader, subject},
};
use crate::{
    keyring::Keyring,
    publish::{Cause, Clock, system_clock},
    store::{Append, AppendError, Appended, EventStore, Idempotency},
};

/// How often a command is decided anew because somebody else was first. A check has two events in its life, so more than
/// two tries mean a fault.
const TRIES: usize = 4;

/// The commands of eligibility checks.
#[derive(Clone)]
pub struct EligibilityService {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) keyring: Arc<dyn Keyring>,
    pub(super) payer: Arc<dyn Payer>,
    clock: Clock,
    producer: Arc<str>,
}

/// What a command left behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub check: EligibilityCheck,
    /// The `EligibilityCheckChanged` event that holds the check as it is here: its id and place.
    pub event_id: String,
    pub position: Position,
    /// How far each partition was right after: where the mutation's cursor points.
    pub heads: ReadVector,
    /// Whether it was here before, so that nothing was written.
    pub repeated: bool,
}

/// How the process's attempt to record an outcome ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorded {
    Done,
    /// The check was finished before, or its member was erased: there is nothing to do.
    TooLate,
}

impl EligibilityService {
    pub fn new(store: Arc<dyn EventStore>, keyring: Arc<dyn Keyring>, payer: Arc<dyn Payer>) -> Self {
        let producer = concat!("sluice/", env!("CARGO_PKG_VERSION")).into();
        Self { store, keyring, payer, clock: system_clock(), producer }
    }

    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Reads the checks that this service writes.
    pub fn reader(&self) -> EligibilityReader {
        EligibilityReader { store: self.store.clone(), keyring: self.keyring.clone() }
    }

    /// Makes a check durable in state ACCEPTED; the payer is asked later. The same key and input of the same person give
    /// the same check, as it then stands; the same key with other input is refused.
    pub async fn request(
        &self,
        viewer: &Viewer,
        input: &RequestInput,
        idempotency_key: &str,
        cause: &Cause,
    ) -> Result<Outcome, ClientError> {
        let act = self.act_of(viewer, cause);
        let today = TimeZone::UTC.to_datetime(act.at).date();
        let key = input::idempotency_key(idempotency_key)?;
        let request = input::parse(input, &viewer.user, self.payer.as_ref(), today)?;
        self.accept(viewer, request, key, &act).await.map_err(|error| error.into_client(cause))
    }

    async fn accept(
        &self,
        viewer: &Viewer,
        request: RequestEligibilityCheck,
        key: &str,
        act: &Act,
    ) -> Result<Outcome, AdvanceError> {
        let idempotency = Idempotency {
            scope: format!("{}/requestEligibilityCheck", viewer.user),
            key: key.into(),
            input_hash: self.keyring.fingerprint(&viewer.tenant, &canonical(&request)).await?,
            result: request.check.to_string(),
        };
        let id = request.check.clone();
        let step = step(self.keyring.as_ref(), None, Command::Request(Box::new(request)), act).await?;
        match self.append(act, &id, 0, &step, Some(idempotency)).await? {
            Appended::Fresh { positions, heads } => outcome(step, &positions, heads),
            Appended::Repeated { result, heads } => self.repeated(&act.tenant, &result, heads).await,
        }
    }

    async fn repeated(&self, tenant: &TenantId, id: &str, heads: ReadVector) -> Result<Outcome, AdvanceError> {
        let found = self.reader().current(tenant, &[id.parse()?]).await?;
        let current = found.into_iter().flatten().next().ok_or(Refused::Missing)?;
        let event = current.event;
        let (event_id, position) = (event.header.event_id.clone(), event.position);
        Ok(Outcome { check: current.check, event_id, position, heads, repeated: true })
    }

    /// Calls a check off. Refused with CONFLICT when it is finished.
    pub async fn cancel(&self, viewer: &Viewer, check: &CheckId, cause: &Cause) -> Result<Outcome, ClientError> {
        let command = Command::Cancel { by: viewer.user.clone() };
        self.advance(check, command, &self.act_of(viewer, cause)).await.map_err(|error| error.into_client(cause))
    }

    /// Records what became of the question to the payer.
    pub(crate) async fn record(
        &self,
        tenant: &TenantId,
        check: &CheckId,
        command: Command,
        cause: &Cause,
        provenance: &Provenance,
    ) -> Result<Recorded, AdvanceError> {
        let act = self.act(tenant, cause, provenance.clone());
        match self.advance(check, command, &act).await {
            Ok(_) => Ok(Recorded::Done),
            Err(error) if error.is_refusal() => Ok(Recorded::TooLate),
            Err(error) => Err(error),
        }
    }

    async fn advance(&self, id: &CheckId, command: Command, act: &Act) -> Result<Outcome, AdvanceError> {
        for _ in 0..TRIES {
            let history = load(self.store.as_ref(), self.keyring.as_ref(), &act.tenant, id).await?;
            let step = step(self.keyring.as_ref(), history.check.as_ref(), command.clone(), act).await?;
            match self.append(act, id, history.version, &step, None).await {
                Ok(appended) => return fresh(step, appended),
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AdvanceError::Contended)
    }

    async fn append(
        &self,
        act: &Act,
        id: &CheckId,
        expected_version: u64,
        step: &Step,
        idempotency: Option<Idempotency>,
    ) -> Result<Appended, AppendError> {
        let stream = StreamId::of_subject(&subject(id));
        let (tenant, events) = (act.tenant.clone(), step.events.clone());
        self.store.append(Append { tenant, stream, expected_version, events, idempotency }).await
    }

    fn act_of(&self, viewer: &Viewer, cause: &Cause) -> Act {
        let provenance = Provenance {
            actor: viewer.user.to_string(),
            system: "sluice".into(),
            purpose_of_use: viewer.purpose.code().into(),
        };
        self.act(&viewer.tenant, cause, provenance)
    }

    fn act(&self, tenant: &TenantId, cause: &Cause, provenance: Provenance) -> Act {
        Act {
            tenant: tenant.clone(),
            at: (self.clock)(),
            producer: self.producer.clone(),
            cause: cause.clone(),
            provenance,
        }
    }
}

/// The input's own bytes: fields in the order of their numbers, and nothing that differs from one try to the next.
fn canonical(request: &RequestEligibilityCheck) -> Vec<u8> {
    EligibilityCheckRequested {
        check_id: String::new(),
        member_id: request.member.to_string(),
        payer_id: Some(request.payer.to_string()),
        provider: Some(request.provider.clone()),
        subscriber: Some(request.subscriber.clone()),
        service_type_codes: request.service_type_codes.clone(),
        date_of_service: request.date_of_service.clone(),
        requested_by: Some(request.requested_by.to_string()),
    }
    .encode_to_vec()
}

fn fresh(step: Step, appended: Appended) -> Result<Outcome, AdvanceError> {
    match appended {
        Appended::Fresh { positions, heads } => outcome(step, &positions, heads),
        // Only an append with an idempotency key can be one.
        Appended::Repeated { .. } => Err(AdvanceError::Contended),
    }
}

/// The last event of a step is the `*Changed` one.
fn outcome(step: Step, positions: &[Position], heads: ReadVector) -> Result<Outcome, AdvanceError> {
    let (Some(event), Some(position)) = (step.events.last(), positions.last()) else {
        return Err(AdvanceError::Contended);
    };
    let event_id = event.header.event_id.clone();
    Ok(Outcome { check: step.after, event_id, position: *position, heads, repeated: false })
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
