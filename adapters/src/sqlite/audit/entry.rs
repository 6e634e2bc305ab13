//! A record as it is stored.

use std::collections::BTreeSet;

use serde_json::json;
use sluice_schema::ids::{MemberId, UserId};
use sluice_subscriptions::audit::{Action, AuditRecord, AuditUnavailable};

/// Encoded by the caller, so that the one writer has less to do.
pub(super) struct Entry {
    pub(super) tenant: String,
    /// JSON: what is hashed.
    pub(super) body: String,
    /// JSON arrays, no two alike.
    pub(super) users: String,
    pub(super) patients: String,
}

impl TryFrom<&AuditRecord> for Entry {
    type Error = AuditUnavailable;

    fn try_from(record: &AuditRecord) -> Result<Self, AuditUnavailable> {
        let body = serde_json::to_string(record).map_err(|error| AuditUnavailable(error.to_string()))?;
        let (users, patients) = concerned(&record.action);
        Ok(Self {
            tenant: record.tenant.to_string(),
            body,
            users: json!(users).to_string(),
            patients: json!(patients).to_string(),
        })
    }
}

fn concerned(action: &Action) -> (BTreeSet<&UserId>, BTreeSet<&MemberId>) {
    match action {
        Action::Deliver { patient, recipients, .. } => {
            (recipients.iter().map(|recipient| &recipient.user).collect(), patient.iter().collect())
        }
        Action::Respond { recipient, disclosed } => (
            BTreeSet::from([&recipient.user]),
            disclosed.iter().filter_map(|disclosed| disclosed.patient.as_ref()).collect(),
        ),
        Action::Subscribe { recipient, .. } | Action::Deny { recipient, .. } => {
            (BTreeSet::from([&recipient.user]), BTreeSet::new())
        }
    }
}
