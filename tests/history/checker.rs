//! Holds a history against what was allowed.

use std::{collections::BTreeSet, fmt};

use jiff::{SignedDuration, Timestamp};
use sluice_schema::ids::TenantId;

use super::{
    people::{FIELDS, MEMBERS, PEOPLE},
    record::{Delivery, History, Watched},
    truth::{Sight, Truth},
};

/// The longest that something may be on its way to a client: what was right when it was decided is not right for ever.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_secs(1);

/// The longest that somebody may be kept subscribed who may see nothing any more.
const TOLD_WITHIN: SignedDuration = SignedDuration::from_secs(2);

/// The same at a gateway that heard of nothing for four seconds: its Watch tries again after six at most.
const HEARS_AGAIN_WITHIN: SignedDuration = SignedDuration::from_secs(12);

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Somebody was shown what she was not allowed to see at any time since it was published.
    Shown,
    /// She was not shown what she was allowed to see all the time.
    Withheld,
    /// An event never came, and she was allowed to see it all the time until a later one did.
    Missing,
    /// An event came twice, or before one that was published earlier.
    OutOfOrder,
    /// The trail does not tell of it.
    Unrecorded,
    /// A subscription went on when nothing could be seen by it any more.
    Outlived,
    /// Who may see what is not what the real parts say.
    OtherTruth,
}

/// Where it is.
pub(crate) struct Finding {
    pub(crate) fault: Fault,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.fault, self.what)
    }
}

/// The kinds of faults that were found.
pub(crate) fn kinds(findings: &[Finding]) -> BTreeSet<Fault> {
    findings.iter().map(|finding| finding.fault).collect()
}

/// Everything that is wrong with a history that ended at `end`.
pub(crate) fn check(tenant: &TenantId, history: &History, end: Timestamp) -> Vec<Finding> {
    let truth = Truth::of(tenant, &history.changes, end);
    let mut findings = Vec::new();
    for answers in &history.answers {
        if let Some(number) = truth.disagrees(answers) {
            let (check, allowed) = (&answers.checks[number], answers.allowed[number]);
            let what = format!("{check:?} is answered with {allowed} at {:?}", answers.at);
            findings.push(Finding { fault: Fault::OtherTruth, what });
        }
    }
    for watched in &history.watched {
        let sight = |strict| truth.sight(watched.person, watched.member, watched.gateway, strict);
        let (sight, strict) = (sight(false), sight(true));
        Checked { history, watched, sight, strict, end, findings: &mut findings }.all();
    }
    findings
}

struct Checked<'c> {
    history: &'c History,
    watched: &'c Watched,
    sight: Sight,
    /// Of fields that are asked about for each event.
    strict: Sight,
    end: Timestamp,
    findings: &'c mut Vec<Finding>,
}

impl Checked<'_> {
    fn all(&mut self) {
        for delivery in &self.watched.deliveries {
            self.every_field(delivery);
            self.is_on_record(delivery);
        }
        self.nothing_is_missing();
        self.nothing_is_outlived();
    }

    fn found(&mut self, fault: Fault, what: fmt::Arguments<'_>) {
        let (person, member) = (PEOPLE[self.watched.person].user, MEMBERS[self.watched.member]);
        let what = format!("{person}, who watches {member} at gateway {}: {what}", self.watched.gateway);
        self.findings.push(Finding { fault, what });
    }

    /// What was shown was allowed, and what was allowed was shown.
    fn every_field(&mut self, delivery: &Delivery) {
        let (published, at) = (self.history.events[delivery.event].at, delivery.at);
        // Not before it was published, and not so long before it came.
        let since = published.sent.max(at - ON_ITS_WAY);
        for (field, shown) in FIELDS.iter().zip(&delivery.shown) {
            let sight = if field.strict { &self.strict } else { &self.sight };
            let (fault, is_right) = match shown {
                true => (Fault::Shown, sight.may_see(field.label(), since, at)),
                false => (Fault::Withheld, sight.may_not_see(field.label(), published.sent, at)),
            };
            if !is_right {
                let (field, event) = (field.path.join("."), delivery.event);
                self.found(fault, format_args!("{field} of event {event}, published {published:?}, came {at}"));
            }
        }
    }

    fn is_on_record(&mut self, delivery: &Delivery) {
        let user = PEOPLE[self.watched.person].user;
        let records = self.history.records.get(&delivery.cursor);
        let mut hers = records.into_iter().flatten().filter(|(recipient, _)| recipient == user);
        let shown = || FIELDS.iter().zip(&delivery.shown).filter(|(_, shown)| **shown);
        if !hers.any(|(_, mask)| shown().all(|(field, _)| mask.sees(field.label()))) {
            self.found(Fault::Unrecorded, format_args!("event {} at {}", delivery.event, delivery.cursor));
        }
    }

    /// Each event that never came has an excuse, up to the next one that did; and none came twice.
    fn nothing_is_missing(&mut self) {
        let (history, watched) = (self.history, self.watched);
        let of_member = |number: &usize| history.events[*number].member == watched.member;
        let expected: Vec<usize> = (0..history.events.len()).filter(of_member).collect();
        let mut next = 0;
        for delivery in &watched.deliveries {
            let Ok(place) = expected.binary_search(&delivery.event) else {
                self.found(Fault::OutOfOrder, format_args!("event {} is not of this member", delivery.event));
                continue;
            };
            if place < next {
                self.found(Fault::OutOfOrder, format_args!("event {} again at {}", delivery.event, delivery.at));
                continue;
            }
            expected[next..place].iter().for_each(|number| self.has_an_excuse(*number, delivery.at));
            next = place + 1;
        }
        expected[next..].iter().for_each(|number| self.has_an_excuse(*number, self.end));
    }

    fn has_an_excuse(&mut self, number: usize, until: Timestamp) {
        let published = self.history.events[number].at;
        if !self.sight.may_not_see(FIELDS[0].label(), published.sent, until) {
            self.found(Fault::Missing, format_args!("event {number}, published {published:?}, until {until}"));
        }
    }

    fn nothing_is_outlived(&mut self) {
        for ended in &self.watched.subscribed {
            let ended = ended.unwrap_or(self.end);
            let is_troubled = self.history.troubled == Some(self.watched.gateway);
            let within = if is_troubled { HEARS_AGAIN_WITHIN } else { TOLD_WITHIN };
            if !self.sight.may_see(FIELDS[0].label(), ended - within, ended) {
                self.found(Fault::Outlived, format_args!("until {ended}"));
            }
        }
    }
}
