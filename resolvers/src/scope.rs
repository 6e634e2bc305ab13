//! What belongs to one request: who asks, and what was shown to her or denied.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use async_graphql::{Context, Result, dataloader::DataLoader};
use jiff::Timestamp;
use sluice_domain::{
    eligibility::{commands::EligibilityService, reader::EligibilityReader},
    emergency::EmergencyService,
    publish::Cause,
};
use sluice_schema::{
    access::{Mask, MessageTable, Redact, table},
    error::ClientError,
    graphql::{EligibilityCheck, See},
    ids::{MemberId, new_event_id},
    position::ReadVector,
    proto::eligibility as pb,
    viewer::Viewer,
};
use sluice_subscriptions::{
    access::Access,
    audit::{Action, AuditRecord, Disclosed, Recipient, Seen},
    engine::Engine,
    relationships::Relationships,
    revocations::Revocations,
};

use crate::{
    eligibility::loaders::{Checks, Masks},
    errors::fail,
};

/// What every resolver may call.
#[derive(Clone)]
pub struct Services {
    pub eligibility: EligibilityService,
    pub emergency: EmergencyService,
    pub reader: EligibilityReader,
    pub access: Arc<Access>,
    pub relationships: Arc<dyn Relationships>,
    pub engine: Engine,
    pub revocations: Revocations,
}

/// One request of one viewer.
pub(crate) struct Scope {
    pub(crate) viewer: Arc<Viewer>,
    pub(crate) checks: DataLoader<Checks>,
    pub(crate) masks: DataLoader<Masks>,
    /// What the events that this request leads to follow from.
    pub(crate) cause: Cause,
    transport: &'static str,
    written: Mutex<Written>,
}

/// What the request did, for the response's extensions and the audit trail.
#[derive(Default)]
struct Written {
    disclosed: Vec<Disclosed>,
    denied: Vec<Denied>,
    heads: Option<ReadVector>,
}

struct Denied {
    patient: Option<MemberId>,
    what: String,
}

impl Scope {
    pub(crate) fn new(services: &Services, viewer: Arc<Viewer>, transport: &'static str) -> Self {
        let checks = Checks { reader: services.reader.clone(), tenant: viewer.tenant.clone() };
        let masks = Masks { access: services.access.clone(), viewer: viewer.clone() };
        Self {
            checks: DataLoader::new(checks, tokio::spawn),
            masks: DataLoader::new(masks, tokio::spawn),
            viewer,
            cause: Cause { correlation_id: new_event_id(), ..Cause::default() },
            transport,
            written: Mutex::default(),
        }
    }

    pub(crate) fn of<'c>(ctx: &Context<'c>) -> Result<&'c Self> {
        ctx.data::<Arc<Self>>().map(AsRef::as_ref)
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses, and has it audited: `patient` is the member who was asked for or whose entity it is. The one answer to "does not
    /// exist" and "not yours".
    pub(crate) fn deny(&self, patient: Option<&MemberId>, what: &str) -> ClientError {
        self.written().denied.push(Denied { patient: patient.cloned(), what: what.to_owned() });
        ClientError::not_found()
    }

    /// A mutation wrote up to here.
    pub(crate) fn wrote(&self, heads: ReadVector) {
        self.written().heads = Some(heads);
    }

    /// How far the log is after what this request wrote.
    pub(crate) fn heads(&self) -> Option<ReadVector> {
        self.written().heads.clone()
    }

    /// The viewer's mask for a member, within the demand; for one that does not exist it costs the same and opens nothing.
    pub(crate) async fn mask(&self, member: Option<MemberId>, demand: Mask) -> Result<(Mask, Arc<str>), ClientError> {
        let decided = self.masks.load_one((member, demand)).await?;
        Ok(decided.unwrap_or((Mask::NOTHING, "".into())))
    }

    /// A check as the viewer may see it, or the one refusal. `None`: it does not exist. `demand`: what its selection can
    /// show.
    pub(crate) async fn show(
        &self,
        check: Option<pb::EligibilityCheck>,
        demand: Mask,
        what: &str,
    ) -> Result<EligibilityCheck, ClientError> {
        let member = check.as_ref().and_then(|check| check.member_id.parse().ok());
        let (mask, revision) = self.mask(member.clone(), demand).await?;
        match check {
            Some(check) if sees_check(mask) => Ok(self.reveal(check, member, mask, &revision)),
            _ => Err(self.deny(member.as_ref(), what)),
        }
    }

    /// A check through a mask that lets it be seen; noted for the audit trail.
    pub(crate) fn reveal(
        &self,
        mut check: pb::EligibilityCheck,
        patient: Option<MemberId>,
        mask: Mask,
        revision: &str,
    ) -> EligibilityCheck {
        let subject = format!("EligibilityCheck/{}", check.id);
        self.written().disclosed.push(Disclosed { patient, subject, seen: Seen::new(mask, revision) });
        check.redact(mask);
        EligibilityCheck::see(&check, mask)
    }

    /// What must be in the audit trail before a change is carried out.
    pub(crate) fn administers(&self, operation: &str, patient: Option<MemberId>, subject: &str) -> AuditRecord {
        let (operation, subject) = (operation.to_owned(), subject.to_owned());
        self.record(Action::Administer { actor: self.recipient(), operation, patient, subject })
    }

    fn recipient(&self) -> Recipient {
        Recipient::of(&self.viewer, self.transport)
    }

    fn record(&self, action: Action) -> AuditRecord {
        AuditRecord { at: Timestamp::now(), tenant: self.viewer.tenant.clone(), action }
    }

    /// What must be in the audit trail before the response may leave.
    pub(crate) fn records(&self) -> Vec<AuditRecord> {
        let mut written = self.written();
        let denied = std::mem::take(&mut written.denied).into_iter();
        let disclosed = std::mem::take(&mut written.disclosed);
        let deny = |Denied { patient, what }| Action::Deny { recipient: self.recipient(), patient, what };
        let mut actions: Vec<_> = denied.map(deny).collect();
        if !disclosed.is_empty() {
            actions.push(Action::Respond { recipient: self.recipient(), disclosed });
        }
        actions.into_iter().map(|action| self.record(action)).collect()
    }
}

/// Whether someone with this mask may see eligibility checks at all.
pub(crate) fn sees_check(mask: Mask) -> bool {
    mask.sees(CHECK.label)
}

/// The part of a mask that [`sees_check`] looks at.
pub(crate) fn sight_of_check() -> Mask {
    CHECK.label.mask()
}

/// The labels of eligibility checks.
pub(crate) static CHECK: LazyLock<&MessageTable> = LazyLock::new(|| {
    table("sluice.eligibility.v1.EligibilityCheck").expect("a message of the schema that this is built with")
});

/// An id that a client sent.
pub(crate) fn parse_id<T: std::str::FromStr<Err = sluice_schema::ids::InvalidId>>(
    text: &str,
    field: &str,
) -> Result<T> {
    text.parse().map_err(|error: sluice_schema::ids::InvalidId| {
        fail(ClientError::new(sluice_schema::error::Code::InvalidId, error.to_string()).at(field))
    })
}
