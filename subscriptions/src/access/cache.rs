//! Decisions that are kept, until something that they depend on changes.
//!
//! One is kept only if nothing that touches it was told between the question and the answer, so that an answer which a change
//! overtook is never used twice. It is used only as long as its source says that changes are known, and only before the
//! instant at which it may change by itself.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hashbrown::{Equivalent, HashMap};
use jiff::Timestamp;
use sluice_schema::{
    access::Mask,
    ids::{MemberId, TenantId, UserId},
    viewer::{PurposeOfUse, Viewer},
};
use tokio::sync::broadcast;

use super::{Affected, Decided, Question, RESOURCE, SUBJECT};
use crate::relationships::{Heed, ObjectRef, Touched};

/// How many changes are remembered for answers that are under way: one that is overtaken by more is not kept.
const RECENT: usize = 256;

/// Decisions beyond these are looked over before more are kept: those whose time is over go.
const LOOK_OVER: usize = 4096;

/// What was decided, and what for.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) decided: Decided,
    /// The part of the mask that was asked about.
    pub(super) asked: Mask,
    /// The permission that was asked about beside the mask's.
    pub(super) act: Option<&'static str>,
}

impl Kept {
    fn holds_at(&self, now: Timestamp) -> bool {
        self.decided.until.is_none_or(|until| now < until)
    }

    pub(super) fn answers(&self, demand: Mask, act: Option<&'static str>, now: Timestamp) -> bool {
        demand.within(self.asked) == demand && (act.is_none() || act == self.act) && self.holds_at(now)
    }
}

/// When a question was asked, in the order of changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked(u64);

pub(super) struct Cache {
    state: RwLock<State>,
    /// Until when changes are known, in nanoseconds behind `begun`.
    known_until: AtomicU64,
    /// How many changes were told. It changes only while the state is written.
    told: AtomicU64,
    begun: Instant,
    /// For those who decide anew what is running. Each of these was forgotten here before it is told.
    changes: broadcast::Sender<Arc<[Touched]>>,
}

/// Changes that wait for somebody who decides anew; one who misses some decides everything anew.
const CHANGES: usize = 256;

#[derive(Default)]
struct State {
    members: HashMap<MemberKey, HashMap<ViewerKey, Kept>>,
    users: HashMap<(TenantId, UserId), HashSet<MemberKey>>,
    count: usize,
    look_over_at: usize,
    /// The last changes that were told.
    recent: VecDeque<Touched>,
}

type MemberKey = (TenantId, MemberId);
type ViewerKey = (UserId, PurposeOfUse);

/// Keys without owning them: hashed and compared as the tuples of owned ones are.
#[derive(Hash)]
struct MemberOf<'a>(&'a TenantId, &'a MemberId);
#[derive(Hash)]
struct ViewerOf<'a>(&'a UserId, &'a PurposeOfUse);

impl Equivalent<MemberKey> for MemberOf<'_> {
    fn equivalent(&self, (tenant, member): &MemberKey) -> bool {
        self.0 == tenant && self.1 == member
    }
}

impl Equivalent<ViewerKey> for ViewerOf<'_> {
    fn equivalent(&self, (user, purpose): &ViewerKey) -> bool {
        self.0 == user && self.1 == purpose
    }
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            state: RwLock::default(),
            known_until: AtomicU64::new(0),
            told: AtomicU64::new(0),
            begun: Instant::now(),
            changes: broadcast::Sender::new(CHANGES),
        }
    }

    pub(super) fn changes(&self) -> broadcast::Receiver<Arc<[Touched]>> {
        self.changes.subscribe()
    }

    /// Whether anything that is kept may be used now.
    pub(super) fn is_known(&self) -> bool {
        nanoseconds(self.begun.elapsed()) < self.known_until.load(Ordering::Acquire)
    }

    /// How many changes were told so far.
    pub(super) fn told(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    /// The changes that were told behind so many; all there may be, where they are not remembered any more.
    pub(super) fn told_since(&self, told: u64) -> Vec<Touched> {
        let state = self.read();
        let last = state.last(self.told() - told);
        last.map_or_else(|| vec![Touched::Everything], |last| last.cloned().collect())
    }

    pub(super) fn asked(&self) -> Asked {
        Asked(self.told())
    }

    /// What was decided, if it still holds and answers all of this. Only where [`Self::is_known`].
    pub(super) fn get(&self, question: &Question<'_>, act: Option<&'static str>, now: Timestamp) -> Option<Decided> {
        self.read().answer(question, act, now).map(|kept| kept.decided.within(question.demand))
    }

    /// The same with all that is kept, and how many changes were told by then.
    pub(super) fn kept(&self, question: &Question<'_>, now: Timestamp) -> Option<(Kept, u64)> {
        let state = self.read();
        state.answer(question, None, now).map(|kept| (kept.clone(), self.told()))
    }

    /// What was asked about the same before: asked again with the rest, so that what is kept grows together.
    pub(super) fn asked_before(&self, question: &Question<'_>) -> (Mask, Option<&'static str>) {
        let state = self.read();
        let kept = question.member.and_then(|member| state.kept(question.viewer, member));
        kept.map_or((Mask::NOTHING, None), |kept| (kept.asked, kept.act))
    }

    /// Keeps what was answered to a question, unless a change came in between.
    pub(super) fn keep(&self, asked: Asked, viewer: &Viewer, member: &MemberId, kept: Kept) {
        let mut state = self.write();
        let since = self.told() - asked.0;
        if state.was_overtaken(since, viewer, member) {
            return;
        }
        if state.count >= LOOK_OVER.max(state.look_over_at) {
            state.look_over(Timestamp::now());
        }
        let member = (viewer.tenant.clone(), member.clone());
        let user = (viewer.tenant.clone(), viewer.user.clone());
        let before = state.members.entry(member.clone()).or_default().insert((user.1.clone(), viewer.purpose), kept);
        state.count += usize::from(before.is_none());
        state.users.entry(user).or_default().insert(member);
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // After a panic it is emptied by whoever writes next; until then nothing of it is known.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(|poisoned| {
            let mut state = poisoned.into_inner();
            state.forget(&Touched::Everything);
            self.state.clear_poison();
            state
        })
    }
}

impl Heed for Cache {
    fn touched(&self, touched: &[Touched]) {
        let mut state = self.write();
        for touched in touched {
            state.forget(touched);
            state.recent.push_back(touched.clone());
            if state.recent.len() > RECENT {
                state.recent.pop_front();
            }
        }
        // Before anybody can read the state again.
        self.told.fetch_add(touched.len() as u64, Ordering::Release);
        drop(state);
        // Nobody need listen.
        let _ = self.changes.send(touched.into());
    }

    fn known_until(&self, until: Option<Instant>) {
        let until = until.map_or(0, |until| nanoseconds(until.saturating_duration_since(self.begun)));
        self.known_until.store(until, Ordering::Release);
    }
}

impl State {
    fn kept(&self, viewer: &Viewer, member: &MemberId) -> Option<&Kept> {
        let of_member = self.members.get(&MemberOf(&viewer.tenant, member))?;
        of_member.get(&ViewerOf(&viewer.user, &viewer.purpose))
    }

    /// What is kept of this, if it holds and answers all of it.
    fn answer(&self, question: &Question<'_>, act: Option<&'static str>, now: Timestamp) -> Option<&Kept> {
        let kept = self.kept(question.viewer, question.member?)?;
        kept.answers(question.demand, act, now).then_some(kept)
    }

    /// Whether one of so many last changes may be about them.
    fn was_overtaken(&self, since: u64, viewer: &Viewer, member: &MemberId) -> bool {
        self.last(since).is_none_or(|last| Affected::by(last).includes(viewer, member))
    }

    /// So many last changes; `None` where not all of them are remembered any more.
    fn last(&self, count: u64) -> Option<impl Iterator<Item = &Touched>> {
        let count = usize::try_from(count).ok().filter(|count| *count <= self.recent.len())?;
        Some(self.recent.iter().rev().take(count))
    }

    fn forget(&mut self, touched: &Touched) {
        match touched {
            // Decisions are about members, and users'.
            Touched::Resource(resource) if &*resource.object_type != RESOURCE => {}
            Touched::Subject(subject) if &*subject.object_type != SUBJECT => {}
            Touched::Resource(resource) => match key(resource) {
                Some(member) => self.forget_member(&member),
                None => self.forget(&Touched::Everything),
            },
            Touched::Subject(subject) => match key::<UserId>(subject) {
                Some(user) => {
                    for member in self.users.remove(&user).unwrap_or_default() {
                        self.retain_of(&member, |(kept, _), _| *kept != user.1);
                    }
                }
                None => self.forget(&Touched::Everything),
            },
            Touched::Tenant(name) => {
                self.members.retain(|(tenant, _), _| tenant.as_str() != &**name);
                self.users.retain(|(tenant, _), _| tenant.as_str() != &**name);
                self.count = self.members.values().map(HashMap::len).sum();
            }
            Touched::Everything => {
                self.members.clear();
                self.users.clear();
                self.count = 0;
            }
        }
    }

    fn forget_member(&mut self, member: &MemberKey) {
        for (user, _) in self.members.remove(member).unwrap_or_default().into_keys() {
            self.count -= 1;
            self.unlist((member.0.clone(), user), member);
        }
    }

    /// Of one member's decisions only these. Users' lists are the caller's.
    fn retain_of(&mut self, member: &MemberKey, mut keep: impl FnMut(&ViewerKey, &Kept) -> bool) {
        let Some(kept) = self.members.get_mut(member) else { return };
        let before = kept.len();
        kept.retain(|viewer, kept| keep(viewer, kept));
        self.count -= before - kept.len();
        if kept.is_empty() {
            self.members.remove(member);
        }
    }

    fn unlist(&mut self, user: (TenantId, UserId), member: &MemberKey) {
        if let Some(members) = self.users.get_mut(&user) {
            members.remove(member);
            if members.is_empty() {
                self.users.remove(&user);
            }
        }
    }

    /// Drops what is over, and waits until there is twice as much as is left.
    fn look_over(&mut self, now: Timestamp) {
        let members: Vec<_> = self.members.keys().cloned().collect();
        for member in members {
            self.retain_of(&member, |_, kept| kept.holds_at(now));
        }
        self.users.clear();
        for (member, kept) in &self.members {
            for (user, _) in kept.keys() {
                self.users.entry((member.0.clone(), user.clone())).or_default().insert(member.clone());
            }
        }
        self.look_over_at = 2 * self.count;
    }
}

/// Tenant and id of an object; `None` for one that is not written as ours are.
fn key<I: std::str::FromStr>(object: &ObjectRef) -> Option<(TenantId, I)> {
    let (tenant, id) = object.id.split_once('/')?;
    Some((tenant.parse().ok()?, id.parse().ok()?))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
