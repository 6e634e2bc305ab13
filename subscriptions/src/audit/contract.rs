//! The contract of [`AuditTrail`], run against every implementation. What tampering looks like depends on where records
//! are kept, so each implementation shows for itself that `verify` finds it.
//!
//! `audit_contract!(open)` makes a test of each function here, where `async fn open() -> (Arc<dyn AuditTrail>, T)` gives an
//! empty trail and whatever must live as long as it.

#![allow(clippy::unwrap_used, reason = "a test suite")]

use std::sync::Arc;

use jiff::Timestamp;
use sluice_schema::{access::Mask, viewer::PurposeOfUse};
use tokio::{sync::Barrier, task::JoinSet};

use super::{Action, AuditRecord, AuditTrail, Disclosed, Recipient, Seen, Verified};

/// Makes a `#[tokio::test]` of every test of the contract.
#[macro_export]
macro_rules! audit_contract {
    ($open:path) => {
        $crate::audit_contract!(@tests $open:
            an_empty_trail_is_intact,
            what_was_appended_is_there,
            concurrent_appends_are_all_there,
        );
    };
    (@tests $open:path: $($test:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let (trail, _kept) = $open().await;
                $crate::audit::contract::$test(trail).await;
            }
        )+
    };
}

/// A record of each kind, told apart by `number`.
pub fn records(number: u32) -> Vec<AuditRecord> {
    let recipient = |user: &str| Recipient {
        user: user.parse().unwrap(),
        purpose: PurposeOfUse::Treatment,
        transport: "sse".into(),
        seen: None,
    };
    let seen = || Seen::new(Mask::default(), "r-1");
    let member = || Some(format!("m-{number}").parse().unwrap());
    let actions = [
        Action::Deliver {
            patient: member(),
            event_id: format!("e-{number}"),
            event_type: "test.Happened".into(),
            cursor: "c".into(),
            seen: seen(),
            recipients: vec![recipient("u-1"), recipient("u-2"), recipient("u-1")],
        },
        Action::Respond {
            recipient: recipient("u-1"),
            disclosed: vec![
                Disclosed { patient: member(), subject: "Check/c-1".into(), seen: seen() },
                Disclosed { patient: member(), subject: "Check/c-2".into(), seen: seen() },
                Disclosed { patient: None, subject: "Payer/60054".into(), seen: seen() },
            ],
        },
        Action::Subscribe { recipient: recipient("u-1"), channel: "/members/*".into() },
        Action::Deny { recipient: recipient("u-3"), what: "Check/c-1".into() },
    ];
    let at = Timestamp::from_millisecond(1_790_000_000_000 + i64::from(number)).unwrap();
    actions.into_iter().map(|action| AuditRecord { at, tenant: "acme".parse().unwrap(), action }).collect()
}

pub async fn an_empty_trail_is_intact(trail: Arc<dyn AuditTrail>) {
    trail.append(Vec::new()).await.unwrap();
    assert_eq!(trail.verify().await.unwrap(), Verified::Intact { records: 0 });
}

pub async fn what_was_appended_is_there(trail: Arc<dyn AuditTrail>) {
    for number in 1..=3 {
        trail.append(records(number)).await.unwrap();
        assert_eq!(trail.verify().await.unwrap(), Verified::Intact { records: 4 * u64::from(number) });
    }
}

pub async fn concurrent_appends_are_all_there(trail: Arc<dyn AuditTrail>) {
    const WRITERS: u32 = 32;
    let barrier = Arc::new(Barrier::new(WRITERS as usize));
    let mut tasks = JoinSet::new();
    for number in 0..WRITERS {
        let (trail, barrier) = (trail.clone(), barrier.clone());
        tasks.spawn(async move {
            barrier.wait().await;
            trail.append(records(number)).await.unwrap();
        });
    }
    tasks.join_all().await;
    assert_eq!(trail.verify().await.unwrap(), Verified::Intact { records: 4 * u64::from(WRITERS) });
}

#[cfg(test)]
mod twin {
    use super::*;
    use crate::audit::memory::MemoryAudit;

    async fn open() -> (Arc<dyn AuditTrail>, ()) {
        (Arc::new(MemoryAudit::default()), ())
    }

    audit_contract!(open);
}
