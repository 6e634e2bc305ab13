//! What may this viewer see of this member, now?

mod affected;
mod asking;
mod cache;
mod deciding;
mod last;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use jiff::Timestamp;
use sluice_schema::{
    access::{Label, Mask},
    ids::MemberId,
    viewer::Viewer,
};
use tokio::sync::broadcast;

pub(crate) use self::{
    affected::Affected,
    last::{KeptDecisions, LastDecision},
};
use self::{
    asking::{For, within},
    cache::Cache,
};
use crate::relationships::{Check, Consistency, MEMBER, ObjectRef, Relationships, Touched};

/// What decisions are about, and whose they are, by the names of the authorization schema.
pub(crate) const RESOURCE: &str = MEMBER;
const SUBJECT: &str = "user";

/// A member id that no tenant can have (member ids have no `=`): asked about in place of what does not exist, so that a look in
/// vain costs as many checks as one at what is not yours.
const NOBODY: &str = "=nobody";

/// See [`Access::event_deadline`].
const EVENT_DEADLINE: Duration = Duration::from_secs(2);

/// Permissions can't be had now. Nothing may be shown.
#[derive(Debug, thiserror::Error)]
#[error("access can't be decided now: {0}")]
pub struct AccessUnavailable(String);

/// Whose view of whom is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    pub viewer: &'a Viewer,
    /// None: what belongs to no member is shown to nobody.
    pub member: Option<&'a MemberId>,
    /// The part of the mask that the answer is for: the rest is neither asked about nor opened.
    pub demand: Mask,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Within the question's demand.
    pub mask: Mask,
    /// Whether the viewer has the permission that was asked about beside the mask; no where none was.
    pub may: bool,
    /// The revision of the relationships that it was decided at.
    pub revision: Arc<str>,
    /// From then on it may be different although nothing was written: a relationship expires.
    pub until: Option<Timestamp>,
}

impl Decided {
    /// Whether the same was decided, by the same relationships.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        self.mask == other.mask && self.revision == other.revision
    }

    pub(crate) fn within(&self, demand: Mask) -> Self {
        Self { mask: self.mask.within(demand), ..self.clone() }
    }

    #[cfg(any(test, feature = "contract"))]
    fn unchecked(question: &Question<'_>) -> Self {
        // All of them share it, as they do a true one.
        static NONE: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| "unchecked".into());
        Self { mask: question.demand, may: false, revision: NONE.clone(), until: None }
    }
}

/// How long a decision holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Until a change that touches it is told.
    UntilTold,
    /// And no longer than this.
    Until(Timestamp),
    /// No longer.
    Over,
    /// Changes are not told now.
    Unknown,
}

/// Decides. Anything but a clear yes is no.
pub struct Access {
    relationships: Arc<dyn Relationships>,
    deadline: Duration,
    cache: Arc<Cache>,
    #[cfg(any(test, feature = "contract"))]
    unchecked: bool,
}

impl Access {
    /// `deadline`: for whoever asks; an event is decided in less, or held.
    pub fn new(relationships: Arc<dyn Relationships>, deadline: Duration) -> Self {
        let cache = Arc::new(Cache::new());
        let heed: Weak<Cache> = Arc::downgrade(&cache);
        relationships.follow(heed);
        Self {
            relationships,
            deadline,
            cache,
            #[cfg(any(test, feature = "contract"))]
            unchecked: false,
        }
    }

    /// Opens everything to everybody: what a benchmark holds the cost of deciding against.
    #[cfg(any(test, feature = "contract"))]
    pub fn unchecked(self) -> Self {
        Self { unchecked: true, ..self }
    }

    /// Decides for one subscription, from what was decided before: what a benchmark holds against a clock.
    #[cfg(any(test, feature = "contract"))]
    pub fn subscription(&self) -> OneSubscription<'_> {
        OneSubscription { access: self, last: LastDecision::default() }
    }

    /// How long an event may wait for its decision before it is held: those who share its shard wait with it.
    pub(crate) fn event_deadline(&self) -> Duration {
        self.deadline.min(EVENT_DEADLINE)
    }

    /// How many changes were told so far: a decision that was asked for behind it heeds them all.
    pub fn told(&self) -> u64 {
        self.cache.told()
    }

    /// The changes that were told behind so many ([`Self::told`]); none costs next to nothing.
    pub(crate) fn told_since(&self, told: u64) -> Vec<Touched> {
        if self.told() == told { Vec::new() } else { self.cache.told_since(told) }
    }

    /// What changes from now on: decisions that were made before a change is told may be others now.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Arc<[Touched]>> {
        self.cache.changes()
    }

    /// What was decided before and still holds at `now`.
    pub(crate) fn kept(&self, now: Timestamp) -> KeptDecisions<'_> {
        KeptDecisions::new(self, now)
    }

    /// What each viewer may see of each member, in the order of the questions: by every change that was told, where all are
    /// told, and else by everything that was written before this call.
    ///
    /// # Errors
    /// The relationships are away, slow or at fault: show nothing.
    pub async fn decide(&self, questions: &[Question<'_>]) -> Result<Vec<Decided>, AccessUnavailable> {
        #[cfg(any(test, feature = "contract"))]
        if self.unchecked {
            return Ok(questions.iter().map(Decided::unchecked).collect());
        }
        let now = Timestamp::now();
        let known = self.cache.is_known();
        let kept = |question| if known { self.cache.get(question, None, now) } else { None };
        let mut decided: Vec<_> = questions.iter().map(kept).collect();
        let missing: Vec<_> = (0..questions.len()).filter(|index| decided[*index].is_none()).collect();
        count(questions.len() - missing.len(), missing.len());
        if !missing.is_empty() {
            let asked: Vec<_> = missing.iter().map(|index| (questions[*index], None)).collect();
            for (index, answer) in missing.into_iter().zip(self.ask(&asked, For::Event).await?) {
                decided[index] = Some(answer);
            }
        }
        // Each is there by now.
        Ok(decided.into_iter().flatten().collect())
    }

    /// What one who asks about a member may see. Only a yes is taken from what was decided before: what does not exist, or is
    /// not hers, costs the same each time, and is by everything that was written before this call.
    ///
    /// # Errors
    /// As [`Access::decide`].
    pub async fn decide_for(&self, questions: &[Question<'_>]) -> Result<Vec<Decided>, AccessUnavailable> {
        let now = Timestamp::now();
        let known = self.cache.is_known();
        let kept = |question| if known { self.cache.get(question, None, now).filter(sees_something) } else { None };
        if let Some(decided) = questions.iter().map(kept).collect::<Option<Vec<_>>>() {
            count(questions.len(), 0);
            return Ok(decided);
        }
        count(0, questions.len());
        let asked: Vec<_> = questions.iter().map(|question| (*question, None)).collect();
        self.ask(&asked, For::Asker).await
    }

    /// Whether the viewer has a permission on a member, and what she may see of it. A member that does not exist costs as much
    /// as one that is not hers.
    ///
    /// # Errors
    /// As [`Access::decide`].
    pub async fn may(&self, question: Question<'_>, permission: &'static str) -> Result<Decided, AccessUnavailable> {
        if self.cache.is_known()
            && let Some(kept) = self.cache.get(&question, Some(permission), Timestamp::now())
            && kept.may
            && sees_something(&kept)
        {
            count(1, 0);
            return Ok(kept);
        }
        count(0, 1);
        let decided = self.ask(&[(question, Some(permission))], For::Asker).await?;
        decided.into_iter().next().ok_or_else(|| AccessUnavailable("no answer".into()))
    }

    /// Whether the viewer has a permission on something that is no member, by its type and id, and by everything that was
    /// written before this call: it is asked for seldom, and never taken from what was decided before.
    ///
    /// # Errors
    /// As [`Access::decide`].
    pub async fn has(
        &self,
        viewer: &Viewer,
        (object_type, id): (&str, &str),
        permission: &'static str,
    ) -> Result<bool, AccessUnavailable> {
        count(0, 1);
        let resource = ObjectRef::new(object_type, &viewer.tenant, id);
        let check = Check { resource, permission: permission.into(), subject: subject(viewer) };
        let checked = within(self.deadline, self.check(Consistency::Full, &[check], For::Asker)).await?;
        Ok(checked.allowed == [true])
    }

    /// Whether every change is told now, so that decisions are kept.
    pub(crate) fn is_known(&self) -> bool {
        self.cache.is_known()
    }

    /// How long it holds that this was decided, and opens the label.
    pub(crate) fn opens_until(&self, question: &Question<'_>, label: Label) -> Holds {
        if !self.cache.is_known() {
            return Holds::Unknown;
        }
        let kept = self.cache.get(question, None, Timestamp::now()).filter(|decided| decided.mask.sees(label));
        kept.map_or(Holds::Over, |decided| decided.until.map_or(Holds::UntilTold, Holds::Until))
    }
}

/// See [`Access::subscription`].
#[cfg(any(test, feature = "contract"))]
pub struct OneSubscription<'a> {
    access: &'a Access,
    last: LastDecision,
}

#[cfg(any(test, feature = "contract"))]
impl OneSubscription<'_> {
    /// As each event takes it; `None`: it has to be asked for.
    pub fn decided_before(&mut self, question: &Question<'_>) -> Option<Decided> {
        self.access.kept(Timestamp::now()).get(question, &self.last)
    }
}

fn sees_something(decided: &Decided) -> bool {
    !decided.mask.visibilities.is_empty()
}

pub(crate) fn count_kept(kept: u64) {
    metrics::counter!("sluice_access_decisions_total", "from" => "kept").increment(kept);
}

fn count(kept: usize, asked: usize) {
    count_kept(kept as u64);
    metrics::counter!("sluice_access_decisions_total", "from" => "asked").increment(asked as u64);
}

fn resource(viewer: &Viewer, member: Option<&MemberId>) -> ObjectRef {
    ObjectRef::new(RESOURCE, &viewer.tenant, member.map_or(NOBODY, MemberId::as_str))
}

fn subject(viewer: &Viewer) -> ObjectRef {
    ObjectRef::new(SUBJECT, &viewer.tenant, viewer.user.as_str())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
