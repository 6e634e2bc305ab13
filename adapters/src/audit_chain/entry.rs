//! A record as it is stored.

use std::sync::Arc;

use sluice_schema::ids::{MemberId, TenantId, UserId};
use sluice_subscriptions::audit::{Action, Audience, AuditRecord, AuditUnavailable, Digest, Recipient};

/// Encoded by the caller, so that the one writer has less to do.
pub(crate) struct Entry {
    pub(crate) tenant: TenantId,
    /// JSON: what is hashed. Shared, so that it is not copied once more to be bound.
    pub(crate) body: Arc<str>,
    /// Whom the body itself tells of. No two alike.
    pub(crate) users: Vec<UserId>,
    /// No two alike.
    pub(crate) patients: Vec<MemberId>,
    /// What the body names.
    pub(crate) audience: Option<Named>,
}

/// An audience that is kept beside the records, and its name.
pub(crate) struct Named {
    pub(crate) digest: Digest,
    pub(crate) audience: Arc<Audience>,
}

impl Named {
    /// Everybody who is in it, once.
    pub(crate) fn users(&self) -> Vec<UserId> {
        users(self.audience.recipients())
    }
}

impl TryFrom<&AuditRecord> for Entry {
    type Error = AuditUnavailable;

    fn try_from(record: &AuditRecord) -> Result<Self, AuditUnavailable> {
        let body = serde_json::to_string(record).map_err(|error| AuditUnavailable(error.to_string()))?;
        let mut entry = Self {
            tenant: record.tenant.clone(),
            body: body.into(),
            users: Vec::new(),
            patients: Vec::new(),
            audience: None,
        };
        match &record.action {
            Action::Deliver { patient, audience, .. } => {
                entry.patients.extend(patient.clone());
                if audience.is_inline() {
                    entry.users = users(audience.recipients());
                } else {
                    entry.audience = Some(Named { digest: audience.digest(), audience: audience.clone() });
                }
            }
            Action::Respond { recipient, disclosed } => {
                entry.users = users([recipient]);
                entry.patients = distinct(disclosed.iter().filter_map(|disclosed| disclosed.patient.clone()).collect());
            }
            Action::Subscribe { recipient, patient, .. }
            | Action::End { recipient, patient, .. }
            | Action::Deny { recipient, patient, .. }
            | Action::Administer { actor: recipient, patient, .. } => {
                entry.users = users([recipient]);
                entry.patients.extend(patient.clone());
            }
        }
        Ok(entry)
    }
}

/// Users and those who acted for them.
fn users<'r>(recipients: impl IntoIterator<Item = &'r Recipient>) -> Vec<UserId> {
    distinct(recipients.into_iter().flat_map(Recipient::people).cloned().collect())
}

fn distinct<I: Ord>(mut ids: Vec<I>) -> Vec<I> {
    ids.sort_unstable();
    ids.dedup();
    ids
}
