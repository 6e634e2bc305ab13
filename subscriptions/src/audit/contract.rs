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

use super::{Action, Audience, AuditRecord, AuditTrail, Disclosed, EndReason, Recipient, Seen, Verified};

/// Makes a `#[tokio::test]` of every test of the contract.
#[macro_export]
macro_rules! audit_contract {
    ($open:path) => {
        $crate::audit_contract!(@tests $open:
            an_empty_trail_is_intact,
            what_was_appended_is_there,
            concurrent_appends_are_all_there,
            a_large_audience_that_comes_back_is_there,
            many_audiences_are_all_there,
            concurrent_appends_with_the_same_audiences_are_all_there,
            administrative_changes_are_there,
            what_was_tried_by_those_who_act_for_others_is_there,
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

fn recipient(user: &str) -> Recipient {
    let (user, transport) = (user.parse().unwrap(), "sse".into());
    Recipient { user, actor: None, purpose: PurposeOfUse::Treatment, transport, seen: None }
}

/// The user `u-<number>`, for whom the user `u-agent` acts where the number is above 1000.
fn numbered(number: u32) -> Recipient {
    let actor = (number > 1000).then(|| "u-agent".parse().unwrap());
    Recipient { actor, ..recipient(&format!("u-{number}")) }
}

fn seen() -> Seen {
    Seen::new(Mask::default(), "r-1")
}

/// Of the tenant `acme`, at an instant that tells `number`.
fn record(number: u32, action: Action) -> AuditRecord {
    let at = Timestamp::from_millisecond(1_790_000_000_000 + i64::from(number)).unwrap();
    AuditRecord { at, tenant: "acme".parse().unwrap(), action }
}

/// The users of these numbers, `u-1` and so on; for those above 1000 the user `u-agent` acts.
pub fn audience(users: impl IntoIterator<Item = u32>) -> Arc<Audience> {
    Arc::new(Audience::of(users.into_iter().map(numbered).collect()))
}

/// The event `e-<number>` of the member `m-<number>`, to an audience.
pub fn delivery(number: u32, audience: &Arc<Audience>) -> AuditRecord {
    let action = Action::Deliver {
        patient: Some(format!("m-{number}").parse().unwrap()),
        event_id: format!("e-{number}"),
        event_type: "test.Happened".into(),
        cursor: "c".into(),
        seen: seen(),
        audience: audience.clone(),
    };
    record(number, action)
}

/// What the user `u-1` has received of [`received`], by tenant.
pub const RECEIVED_BY_THE_FIRST: [(&str, &[i64]); 2] = [("acme", &[1, 2, 4]), ("other", &[3])];

/// For looking up who received what, alone or among many: the audience of the first record, and the records, numbered from 1.
pub fn received() -> (Arc<Audience>, Vec<AuditRecord>) {
    let many = audience(1..=10);
    let elsewhere = AuditRecord { tenant: "other".parse().unwrap(), ..delivery(3, &many) };
    let [alone, nobody] = [audience([1]), audience([2])];
    let records = vec![delivery(1, &many), delivery(2, &alone), elsewhere, delivery(4, &many), delivery(5, &nobody)];
    (many, records)
}

/// A record of each kind that tells what was shown or asked for, told apart by `number`.
pub fn records(number: u32) -> Vec<AuditRecord> {
    let member = || Some(format!("m-{number}").parse().unwrap());
    let actions = [
        Action::Respond {
            recipient: recipient("u-1"),
            disclosed: vec![
                Disclosed { patient: member(), subject: "Check/c-1".into(), seen: seen() },
                Disclosed { patient: member(), subject: "Check/c-2".into(), seen: seen() },
                Disclosed { patient: None, subject: "Payer/60054".into(), seen: seen() },
            ],
        },
        Action::Subscribe { recipient: recipient("u-1"), patient: None, channel: "/members/*".into() },
        Action::Deny { recipient: recipient("u-3"), patient: None, what: "Check/c-1".into() },
    ];
    let others = actions.into_iter().map(|action| record(number, action));
    std::iter::once(delivery(number, &audience([1, 2, 1]))).chain(others).collect()
}

/// What was tried and watched of the member `m-<number>`: denied to the user `u-2`, for whom `u-agent` acted, and watched by `u-1`.
pub fn tried(number: u32) -> Vec<AuditRecord> {
    let (patient, channel) = (Some(format!("m-{number}").parse().unwrap()), format!("/members/m-{number}/**"));
    let by_agent = Recipient { actor: Some("u-agent".parse().unwrap()), ..recipient("u-2") };
    let actions = [
        Action::Deny { recipient: by_agent, patient: patient.clone(), what: "Check/c-1".into() },
        Action::Subscribe { recipient: recipient("u-1"), patient: patient.clone(), channel: channel.clone() },
        Action::End { recipient: recipient("u-1"), patient, channel, why: EndReason::Completed },
    ];
    actions.into_iter().map(|action| record(number, action)).collect()
}

/// An administrative change by `u-1`, about the member `m-<number>` or nobody.
pub fn administered(number: u32, about: bool) -> AuditRecord {
    let action = Action::Administer {
        actor: recipient("u-1"),
        operation: "revoke_tokens".into(),
        patient: about.then(|| format!("m-{number}").parse().unwrap()),
        subject: "user:u-2".into(),
    };
    record(number, action)
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

/// Alone, several times in one append, by a value that was made anew, and for another tenant.
pub async fn a_large_audience_that_comes_back_is_there(trail: Arc<dyn AuditTrail>) {
    let many = || audience(1..=1000);
    trail.append(vec![delivery(1, &many())]).await.unwrap();
    let same = many();
    trail.append((2..10).map(|number| delivery(number, &same)).collect()).await.unwrap();
    let elsewhere = AuditRecord { tenant: "other".parse().unwrap(), ..delivery(10, &audience((1..=1000).rev())) };
    trail.append(vec![elsewhere]).await.unwrap();
    assert_eq!(trail.verify().await.unwrap(), Verified::Intact { records: 10 });
}

/// Of all sizes about the bound, some within one append; half of them come back.
pub async fn many_audiences_are_all_there(trail: Arc<dyn AuditTrail>) {
    for round in 0..20 {
        let sizes = (0..12).map(|size| delivery(size, &audience(round % 10 * 100..round % 10 * 100 + size)));
        trail.append(sizes.collect()).await.unwrap();
    }
    assert_eq!(trail.verify().await.unwrap(), Verified::Intact { records: 240 });
}

pub async fn administrative_changes_are_there(trail: Arc<dyn AuditTrail>) {
    trail.append(vec![administered(1, false), administered(2, true)]).await.unwrap();
    assert_eq!(trail.verify().await.unwrap(), Verified::Intact { records: 2 });
}

/// Alone and in an audience.
pub async fn what_was_tried_by_those_who_act_for_others_is_there(trail: Arc<dyn AuditTrail>) {
    trail.append(tried(1)).await.unwrap();
    trail.append(vec![delivery(2, &audience(999..=1002)), delivery(3, &audience(990..=1010))]).await.unwrap();
    assert_eq!(trail.verify().await.unwrap(), Verified::Intact { records: 5 });
}

/// In opposite orders, as two nodes might.
pub async fn concurrent_appends_with_the_same_audiences_are_all_there(trail: Arc<dyn AuditTrail>) {
    const WRITERS: u32 = 16;
    let barrier = Arc::new(Barrier::new(WRITERS as usize));
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let (trail, barrier) = (trail.clone(), barrier.clone());
        tasks.spawn(async move {
            let mut deliveries: Vec<_> = (0..8).map(|first| delivery(first, &audience(first..first + 50))).collect();
            if writer % 2 == 1 {
                deliveries.reverse();
            }
            barrier.wait().await;
            trail.append(deliveries).await.unwrap();
        });
    }
    tasks.join_all().await;
    assert_eq!(trail.verify().await.unwrap(), Verified::Intact { records: 8 * u64::from(WRITERS) });
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
