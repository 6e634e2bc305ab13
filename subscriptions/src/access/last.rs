//! The decision that one subscription was last served by. As long as no change was told since, it is right for its next
//! event about the same member, at the cost of a comparison.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use sluice_schema::ids::MemberId;

use super::{
    Access, Decided, Question,
    cache::{Cache, Kept},
};

/// For one viewer.
#[derive(Debug, Default)]
pub(crate) struct LastDecision(Mutex<Option<Last>>);

#[derive(Debug)]
struct Last {
    member: MemberId,
    kept: Kept,
    /// How many changes had been told by then.
    told: u64,
}

/// What was decided before, at one instant. It may be used for some milliseconds: as long as one batch takes to be decided.
pub(crate) struct KeptDecisions<'c> {
    cache: &'c Cache,
    known: bool,
    now: Timestamp,
    /// See [`super::Access::unchecked`].
    #[cfg(any(test, feature = "contract"))]
    unchecked: bool,
}

impl<'c> KeptDecisions<'c> {
    pub(super) fn new(access: &'c Access, now: Timestamp) -> Self {
        Self {
            cache: &access.cache,
            known: access.cache.is_known(),
            now,
            #[cfg(any(test, feature = "contract"))]
            unchecked: access.unchecked,
        }
    }

    /// What was decided, if it still holds. `last` is the asking subscription's own.
    pub(crate) fn get(&self, question: &Question<'_>, last: &LastDecision) -> Option<Decided> {
        #[cfg(any(test, feature = "contract"))]
        if self.unchecked {
            return Some(Decided::unchecked(question));
        }
        let member = question.member.filter(|_| self.known)?;
        let mut last = last.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = self.cache.told();
        if let Some(last) = last.as_ref().filter(|last| last.told == told && last.member == *member)
            && last.kept.answers(question.demand, None, self.now)
        {
            return Some(last.kept.decided.within(question.demand));
        }
        let (kept, told) = self.cache.kept(question, self.now)?;
        let decided = kept.decided.within(question.demand);
        *last = Some(Last { member: member.clone(), kept, told });
        Some(decided)
    }
}
