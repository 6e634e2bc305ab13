//! Checks of a member that are published past the mutations, as a payer's answer is.

use sluice::app::Ports;
use sluice_domain::{
    publish::{Cause, Envelope, member_key},
    store::{Append, Appended},
};
use sluice_schema::{
    channel::Channel,
    event::StreamId,
    ids::{MemberId, TenantId},
    proto::{
        eligibility::{EligibilityCheck, EligibilityCheckChanged},
        header::{Provenance, Subject},
    },
};

/// The events of one check, one after another.
pub(crate) struct Check {
    tenant: TenantId,
    member: MemberId,
    id: String,
    version: u64,
}

impl Check {
    pub(crate) fn new(tenant: &TenantId, member: &str, id: &str) -> Self {
        Self { tenant: tenant.clone(), member: member.parse().unwrap(), id: id.to_owned(), version: 0 }
    }

    /// Appends these states of it together; durable when this returns. Its ids are those of this check.
    pub(crate) async fn publish(&mut self, ports: &Ports, states: Vec<EligibilityCheck>) {
        let owner = member_key(&self.member);
        let key = ports.keyring.create_or_get(&self.tenant, &owner).await.unwrap();
        let count = states.len() as u64;
        let seal = |state| {
            let after = EligibilityCheck { id: self.id.clone(), member_id: self.member.to_string(), ..state };
            let changed = EligibilityCheckChanged { before: None, after: Some(after), changed: vec!["state".into()] };
            self.envelope().seal_state(&key, &changed).unwrap()
        };
        let append = Append {
            tenant: self.tenant.clone(),
            stream: StreamId::of("EligibilityCheck", &self.id),
            expected_version: self.version,
            events: states.into_iter().map(seal).collect(),
            idempotency: None,
        };
        match ports.store.append(append).await.unwrap() {
            Appended::Fresh { .. } => self.version += count,
            other => panic!("not appended: {other:?}"),
        }
    }

    fn envelope(&self) -> Envelope {
        Envelope {
            tenant: self.tenant.clone(),
            subject: Subject { r#type: "EligibilityCheck".into(), id: self.id.clone() },
            routing_key: member_key(&self.member),
            channel: Channel::eligibility_check(&self.member, &self.id.parse().unwrap()),
            occurred_at: jiff::Timestamp::now(),
            producer: "test".into(),
            cause: Cause::default(),
            provenance: Provenance::default(),
        }
    }
}
