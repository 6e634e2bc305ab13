//! What one node makes of revocations: whom it lets in, whom it ends.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use sluice_schema::{
    ids::{TenantId, UserId},
    token::TokenId,
    viewer::Viewer,
};
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    Cut, Revocation, RevocationsUnavailable, Revoked, Session, TokenRevocations, list::List, sessions::Sessions,
};

/// How often what others revoke is read when nothing is heard of it.
const EVERY: Duration = Duration::from_millis(250);

/// How often what can't matter any more is removed.
const PURGE_EVERY: Duration = Duration::from_secs(15 * 60);

#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The longest that a token is valid, from its issue to its end.
    pub max_lifetime: Duration,
    /// How far the clocks of who issues tokens, and of who reads them, may be apart.
    pub leeway: Duration,
    /// For how long others' revocations may be unknown before nobody is let in.
    pub max_staleness: Duration,
}

/// What is to be revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Token(TokenId),
    /// All tokens of a user that were issued by now.
    User(UserId),
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Revoked,
    /// What others have revoked lately is not known.
    Unknown,
    /// It has ended since it was read.
    Expired,
}

/// Revoked tokens and running sessions, as this node knows them. Cheap to clone.
///
/// Who lets somebody in calls [`Self::check`], and [`Self::admit`] for whatever lasts: between the two, and after them, a revocation
/// ends what it means.
#[derive(Clone)]
pub struct Revocations {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn TokenRevocations>,
    options: Options,
    list: RwLock<List>,
    sessions: Arc<Sessions>,
    /// Everything up to here was read.
    place: AtomicU64,
    /// Until when the list counts as known, in nanoseconds behind `begun`.
    known_until: AtomicU64,
    begun: Instant,
    /// It is to be read, whatever else is heard.
    stir: Notify,
}

impl Revocations {
    /// Reads what was revoked. [`Self::follow`] keeps it up to date.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn open(store: Arc<dyn TokenRevocations>, options: Options) -> Result<Self, RevocationsUnavailable> {
        let shared = Shared {
            store,
            options,
            list: RwLock::default(),
            sessions: Arc::default(),
            place: AtomicU64::new(0),
            known_until: AtomicU64::new(0),
            begun: Instant::now(),
            stir: Notify::new(),
        };
        shared.read_on().await?;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Reads what others revoke, and ends the sessions that it means, until shutdown.
    pub async fn follow(self, shutdown: CancellationToken) {
        let shared = &self.shared;
        tokio::select! {
            () = shutdown.cancelled() => {}
            // A removal that takes its time holds up no reading.
            _ = async { tokio::join!(shared.follow(), shared.purge()) } => {}
        }
    }

    /// Makes it durable, then lets nobody in by it and ends every session of this node that it means. When this answers, nothing more
    /// is sent to any of them from here.
    ///
    /// # Errors
    /// It may have been done or not.
    pub async fn revoke(&self, tenant: &TenantId, target: Target) -> Result<Revocation, RevocationsUnavailable> {
        let revocation = self.shared.revocation(tenant, target);
        if let Err(error) = self.shared.store.revoke(&revocation).await {
            self.shared.stir.notify_one();
            return Err(error);
        }
        self.shared.apply(std::slice::from_ref(&revocation));
        Ok(revocation)
    }

    /// # Errors
    /// Her token counts no longer, or it can't be told.
    pub fn check(&self, viewer: &Viewer) -> Result<(), Refused> {
        if !self.shared.is_known() {
            return Err(Refused::Unknown);
        }
        // Revocations are kept for as long as a token may be used, and no longer.
        let ended_for = Duration::try_from(Timestamp::now().duration_since(viewer.expires.at()));
        if ended_for.is_ok_and(|ended_for| ended_for >= self.shared.options.leeway) {
            return Err(Refused::Expired);
        }
        let revoked = self.shared.list.read().unwrap_or_else(PoisonError::into_inner).means(viewer);
        if revoked { Err(Refused::Revoked) } else { Ok(()) }
    }

    /// Lets a session begin, which is `cut` when its token is revoked.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn admit(&self, viewer: &Arc<Viewer>, cut: Arc<dyn Cut>) -> Result<Session, Refused> {
        // In this order: what is revoked before the look is seen by it, what is revoked after it finds the session.
        let session = self.shared.sessions.begin(viewer, cut);
        self.check(viewer).map(|()| session)
    }
}

impl Shared {
    fn revocation(&self, tenant: &TenantId, target: Target) -> Revocation {
        let Options { max_lifetime, leeway, .. } = self.options;
        // The issuer's clock may be ahead of this one: a token of a moment ago is meant all the same.
        let issued_until = whole_seconds(Timestamp::now(), leeway);
        // Nothing that is meant ends later, and none is taken for longer behind its end than this.
        let kept_until = whole_seconds(issued_until, max_lifetime.saturating_add(leeway + Duration::from_secs(1)));
        let revoked = match target {
            Target::Token(id) => Revoked::Token(id),
            Target::User(user) => Revoked::User { user, issued_until },
        };
        Revocation { tenant: tenant.clone(), revoked, kept_until }
    }

    /// The list before the sessions: who is let in meanwhile is either refused by the one or found among the others.
    fn apply(&self, revocations: &[Revocation]) {
        {
            let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
            revocations.iter().for_each(|revocation| list.add(revocation));
        }
        let ended = self.sessions.end(revocations);
        metrics::counter!("sluice_sessions_revoked_total").increment(ended as u64);
    }

    async fn read_on(&self) -> Result<(), RevocationsUnavailable> {
        let begun = self.begun.elapsed();
        loop {
            let page = self.store.behind(self.place.load(Ordering::Acquire)).await?;
            let Some((last, _)) = page.last() else { break };
            let last = *last;
            self.apply(&page.into_iter().map(|(_, revocation)| revocation).collect::<Vec<_>>());
            self.place.store(last, Ordering::Release);
        }
        let until = if self.store.is_shared() {
            nanoseconds(begun.saturating_add(self.options.max_staleness))
        } else {
            u64::MAX
        };
        self.known_until.store(until, Ordering::Release);
        Ok(())
    }

    fn is_known(&self) -> bool {
        nanoseconds(self.begun.elapsed()) < self.known_until.load(Ordering::Acquire)
    }

    async fn follow(&self) {
        let mut look = interval(EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                _ = look.tick(), if self.store.is_shared() || failing => {}
                () = self.store.stirred() => {}
                () = self.stir.notified() => {}
            }
            // Told once by what asks the store.
            failing = self.read_on().await.inspect_err(|error| tracing::debug!(%error, "not read")).is_err();
        }
    }

    async fn purge(&self) {
        let mut again = interval(PURGE_EVERY);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            again.tick().await;
            let now = Timestamp::now();
            self.list.write().unwrap_or_else(PoisonError::into_inner).purge(now);
            if let Err(error) = self.store.purge(now).await {
                tracing::debug!(%error, "old revocations stay for now");
            }
        }
    }
}

/// A time and so much after it, cut to seconds; times without end are one.
fn whole_seconds(time: Timestamp, after: Duration) -> Timestamp {
    let after = i64::try_from(after.as_secs()).unwrap_or(i64::MAX);
    let second = time.as_second().saturating_add(after).min(Timestamp::MAX.as_second());
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
