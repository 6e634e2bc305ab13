//! Who goes on: decided anew after a change of relationships, and as they expire.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    super::{
        revoke::{self, Decisions},
        subscription::Live,
    },
    Shard,
};
use crate::{
    access::{Holds, RESOURCE},
    relationships::{NOT_KNOWN, ObjectRef, Touched},
};

/// Changes that wait to be decided after, each by itself.
const UNDECIDED: usize = 1024;

/// How soon it is asked again who goes on, where that could not be decided.
const DECIDE_AGAIN: Duration = Duration::from_millis(250);

impl Shard {
    /// After changes, if there are any: what was handed over before and has not left is taken back, and what nobody may see any more
    /// ends.
    pub(super) async fn heed_changes(&mut self, touched: Vec<Touched>) {
        if !touched.is_empty() {
            self.shared.recall(&touched, self.subscriptions.values());
            self.decide_anew(&touched).await;
        }
    }

    /// Ends what nobody may see any more, after these changes and those that wait to be decided after.
    pub(super) async fn decide_anew(&mut self, touched: &[Touched]) {
        let touched = [std::mem::take(&mut self.undecided).as_slice(), touched].concat();
        let (decisions, all) = revoke::after(&self.shared.parts.access, self.subscriptions.values(), &touched).await;
        self.heed(decisions);
        if let Err(error) = all {
            tracing::debug!(%error, "it can't be decided who goes on");
            self.decide_later(touched);
        }
    }

    /// When a relationship behind a decision has expired: ends what nobody may see any more.
    pub(super) async fn decide_expired(&mut self) {
        let due = self.expirations.take(Timestamp::now());
        let lives: Vec<_> = due.iter().filter_map(|id| self.subscriptions.get(id)).cloned().collect();
        let members: Vec<_> = lives.iter().filter_map(|live| member_of(live)).collect();
        let (decisions, all) = revoke::decide(&self.shared.parts.access, lives).await;
        self.heed(decisions);
        if all.is_err() {
            self.decide_later(members);
        }
    }

    fn heed(&mut self, Decisions { revoked, expiring }: Decisions) {
        // Where changes are not known, who may see is asked about anyway, and all of them once they are known again.
        if self.shared.parts.access.is_known() {
            // One that is over may still be the reason of a yes: the clock that ends it may be behind.
            let soon = Timestamp::now() + DECIDE_AGAIN;
            let awaited = |(until, id): &(Timestamp, u64)| *until != NOT_KNOWN && self.subscriptions.contains_key(id);
            let attached = expiring.into_iter().filter(awaited);
            attached.for_each(|(until, id)| self.expirations.add(until.max(soon), id));
        }
        if revoked.is_empty() {
            return;
        }
        metrics::counter!("sluice_subscriptions_revoked_total").increment(revoked.len() as u64);
        let ended = revoked.into_iter().map(|live| (live, self.vector.clone(), Some(revoke::error())));
        self.end(ended.collect());
    }

    fn decide_later(&mut self, touched: Vec<Touched>) {
        self.undecided.extend(touched);
        // However many there were, one stands for all.
        if self.undecided.len() > UNDECIDED {
            self.undecided = vec![Touched::Everything];
        }
        self.decide_at = Instant::now() + DECIDE_AGAIN;
    }

    /// A change since it began was told to the shard alone, which did not have it yet.
    pub(super) async fn decide_first(&mut self, live: &Arc<Live>) {
        let (access, Some(root)) = (&self.shared.parts.access, live.root.as_ref()) else { return };
        if root.since == access.told() {
            match access.opens_until(&revoke::question(live, root), root.label) {
                Holds::Until(at) => return self.expirations.add(at, live.id),
                // Once it is known again, all are decided anew.
                Holds::UntilTold | Holds::Unknown => return,
                Holds::Over => {}
            }
        }
        let (decisions, all) = revoke::decide(access, vec![live.clone()]).await;
        self.heed(decisions);
        if all.is_err() {
            self.decide_later(member_of(live).into_iter().collect());
        }
    }
}

/// What stands for all decisions about what a subscription stands and falls with.
fn member_of(live: &Live) -> Option<Touched> {
    let root = live.root.as_ref()?;
    Some(Touched::Resource(ObjectRef::new(RESOURCE, &live.viewer.tenant, root.member.as_str())))
}
