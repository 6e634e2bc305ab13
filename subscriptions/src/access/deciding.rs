//! A decision on its way: what is asked about, and what the answers make of it.

use std::sync::Arc;

use jiff::Timestamp;
use sluice_schema::access::{Mask, Permission, Round, permissions, permissions_for};

use super::{Decided, Question, resource, subject};
use crate::relationships::Check;

/// What is checked: a permission that is asked about beside the mask, or one that opens something.
enum Asked {
    Act(&'static str),
    Seen(&'static Permission),
}

pub(super) struct Deciding<'q> {
    question: &'q Question<'q>,
    act: Option<&'static str>,
    /// In the order of the checks; until they are answered.
    asked: Vec<Asked>,
    decided: Decided,
}

impl<'q> Deciding<'q> {
    pub(super) fn new(question: &'q Question<'q>, act: Option<&'static str>) -> Self {
        debug_assert!(is_whole(question), "a kept decision would answer for what was not asked about");
        let decided = Decided { mask: Mask::NOTHING, may: false, revision: Arc::default(), until: None };
        Self { question, act, asked: Vec::new(), decided }
    }

    /// What is to be asked in these rounds, by what is known. The same, whether the member exists or not.
    pub(super) fn checks(&mut self, rounds: &[Round]) -> Vec<Check> {
        let Question { viewer, member, demand } = *self.question;
        let known = self.decided.mask;
        let seen = rounds.iter().flat_map(|round| permissions_for(viewer.purpose, demand, *round, known));
        let seen = seen.map(Asked::Seen);
        self.asked = self.act.take().map(Asked::Act).into_iter().chain(seen).collect();
        let (resource, subject) = (resource(viewer, member), subject(viewer));
        let check = |asked: &Asked| {
            let (Asked::Act(permission) | Asked::Seen(Permission { name: permission, .. })) = asked;
            Check { resource: resource.clone(), permission: (*permission).into(), subject: subject.clone() }
        };
        self.asked.iter().map(check).collect()
    }

    /// Takes as many answers as there were checks.
    pub(super) fn answered(
        &mut self,
        answers: &mut impl Iterator<Item = (bool, Option<Timestamp>)>,
        revision: &Arc<str>,
    ) {
        let decided = &mut self.decided;
        // That of the first round is that of all.
        if decided.revision.is_empty() {
            decided.revision = revision.clone();
        }
        for asked in self.asked.drain(..) {
            let (allowed, ends) = answers.next().unwrap_or_default();
            decided.until = decided.until.into_iter().chain(ends).min();
            match asked {
                Asked::Act(_) => decided.may = allowed,
                Asked::Seen(permission) if allowed => decided.mask = decided.mask.with(permission.opens()),
                Asked::Seen(_) => {}
            }
        }
    }

    pub(super) fn decided(self) -> Decided {
        let Self { question, decided, .. } = self;
        if question.member.is_none() {
            return Decided { mask: Mask::NOTHING, may: false, ..decided };
        }
        let mask = if question.demand.is_strict() { decided.mask.asked_anew() } else { decided.mask };
        Decided { mask, ..decided }
    }
}

/// Whether it demands, with what only one round asks about, also what spares that round.
fn is_whole(Question { viewer, demand, .. }: &Question<'_>) -> bool {
    let demanded = |permission: &&Permission| permission.opens().within(*demand) != Mask::NOTHING;
    permissions(viewer.purpose).iter().filter(demanded).all(|permission| permission.is_spared_within(*demand))
}
