//! Who may see what, when: by the changes that were made, and the evaluator that SpiceDB was held against.

use jiff::{SignedDuration, Timestamp};
use sluice_schema::{
    access::{Label, Mask},
    ids::TenantId,
};
use sluice_subscriptions::relationships::{Check, SCHEMA, Schema, Tuples, check};

use super::{
    people::{self, PEOPLE},
    record::{Answers, Change, Through},
};

/// How long a change that others made may go unheeded: `spicedb.max_staleness_ms`, as it is without being set.
pub(super) const STALENESS: SignedDuration = SignedDuration::from_secs(2);

/// A grant ends by SpiceDB's clock, its database's and the gateway's, each as it comes to be read: it may be so much early
/// or late.
const EARLY: SignedDuration = SignedDuration::from_millis(100);
const LATE: SignedDuration = SignedDuration::from_millis(50);

/// Something that may have been the case at any time from `from` to `to`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    from: Timestamp,
    to: Timestamp,
    mask: Mask,
}

impl Stretch {
    fn meets(&self, from: Timestamp, to: Timestamp) -> bool {
        self.from <= to && from <= self.to
    }
}

/// What one viewer may see of one member over time. Stretches overlap where it can't be known which of them it was.
pub(super) struct Sight(Vec<Stretch>);

impl Sight {
    /// Whether she may have been allowed to see it at some time between.
    pub(super) fn may_see(&self, label: Label, from: Timestamp, to: Timestamp) -> bool {
        self.0.iter().any(|stretch| stretch.meets(from, to) && stretch.mask.sees(label))
    }

    /// Whether she may have been forbidden to see it at some time between.
    pub(super) fn may_not_see(&self, label: Label, from: Timestamp, to: Timestamp) -> bool {
        self.0.iter().any(|stretch| stretch.meets(from, to) && !stretch.mask.sees(label))
    }
}

/// Relationships after each change.
pub(super) struct Truth<'h> {
    tenant: TenantId,
    schema: Schema,
    states: Vec<(&'h Change, Tuples)>,
    end: Timestamp,
}

impl<'h> Truth<'h> {
    /// `changes` begin with what there was at first.
    pub(super) fn of(tenant: &TenantId, changes: &'h [Change], end: Timestamp) -> Self {
        let schema = Schema::parse(SCHEMA).expect("the schema of this build");
        let mut tuples = Tuples::default();
        let states = changes.iter().map(|change| {
            change.updates.iter().for_each(|update| tuples.apply(update.clone(), change.at.sent));
            (change, tuples.clone())
        });
        let states = states.collect();
        Self { tenant: tenant.clone(), schema, states, end }
    }

    /// What a gateway may have known of it.
    pub(super) fn sight(&self, person: usize, member: usize, gateway: usize, strict: bool) -> Sight {
        let checks = people::checks(&self.tenant, &PEOPLE[person], member);
        let mut stretches = Vec::new();
        for (number, (change, tuples)) in self.states.iter().enumerate() {
            let next = self.states.get(number + 1).map(|(next, _)| next);
            let to = next.map_or(self.end, |next| next.at.answered + heeded_within(next, gateway, strict));
            let (mut at, mut early) = (change.at.sent, SignedDuration::ZERO);
            loop {
                let (allowed, until) = self.evaluate(tuples, &checks, at);
                let mask = people::mask(&PEOPLE[person], allowed);
                let ends = until.filter(|until| *until < to);
                let stretch = Stretch { from: at - early, to: ends.map_or(to, |ends| to.min(ends + LATE)), mask };
                stretches.push(stretch);
                let Some(ends) = ends else { break };
                (at, early) = (ends, EARLY);
            }
        }
        Sight(stretches)
    }

    fn evaluate(&self, tuples: &Tuples, checks: &[Check], at: Timestamp) -> (Vec<bool>, Option<Timestamp>) {
        let answer = |one| check(&self.schema, tuples, at, one).expect("no relationships that run in a circle");
        let answers: Vec<_> = checks.iter().map(answer).collect();
        (answers.iter().map(|one| one.allowed).collect(), answers.iter().filter_map(|one| one.until).min())
    }

    /// The first question, by its place, that the real parts may not have answered so at that time.
    pub(super) fn disagrees(&self, answers: &Answers) -> Option<usize> {
        let then = self.states.iter().rev().find(|(change, _)| change.at.answered <= answers.at.sent);
        let (_, tuples) = then.expect("there is a first state");
        let [before, after] = [answers.at.sent - LATE, answers.at.answered + EARLY]
            .map(|at| self.evaluate(tuples, &answers.checks, at).0);
        let agree = |number: &usize| [before[*number], after[*number]].contains(&answers.allowed[*number]);
        (0..answers.checks.len()).find(|number| !agree(number))
    }
}

/// How long after it was answered a change may go unheeded at a gateway.
fn heeded_within(change: &Change, gateway: usize, strict: bool) -> SignedDuration {
    match change.through {
        Through::Gateway(other) if other == gateway => SignedDuration::ZERO,
        // Everything that was written is asked for.
        _ if strict => SignedDuration::ZERO,
        _ => STALENESS,
    }
}
