//! A record as it is stored.

use std::collections::BTreeSet;

use sluice_schema::ids::{MemberId, UserId};
use sluice_subscriptions::audit::{Action, AuditRecord, AuditUnavailable};

/// Encoded by the caller, so that the one writer has less to do.
pub(crate) struct Entry {
    pub(crate) tenant: String,
    /// JSON: what is hashed.
    pub(crate) body: String,
    /// No two alike.
    pub(crate) users: BTreeSet<UserId>,
    pub(crate) patients: BTreeSet<MemberId>,
}

impl TryFrom<&AuditRecord> for Entry {
    type Error = AuditUnavailable;

    fn try_from(record: &AuditRecord) -> Result<Self, AuditUnavailable> {
        let body = serde_json::to_string(record).map_err(|error| AuditUnavailable(error.to_string()))?;
        let (users, patients) = concerned(&record.action);
        Ok(Self { tenant: record.tenant.to_string(), body, users, patients })
    }
}

fn concerned(action: &Action) -> (BTreeSet<UserId>, BTreeSet<MemberId>) {
    match action {
        Action::Deliver { patient, recipients, .. } => {
            (recipients.iter().map(|recipient| recipient.user.clone()).collect(), patient.iter().cloned().collect())
        }
        Action::Respond { recipient, disclosed } => (
            BTreeSet::from([recipient.user.clone()]),
            disclosed.iter().filter_map(|disclosed| disclosed.patient.clone()).collect(),
        ),
        Action::Subscribe { recipient, .. } | Action::Deny { recipient, .. } => {
            (BTreeSet::from([recipient.user.clone()]), BTreeSet::new())
        }
    }
}
