//! When answers come to an end by themselves. SpiceDB does not tell with an answer when the relationships behind it expire,
//! and Watch is silent when they do; so all relationships that will expire are known here: read once, and followed.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::{SignedDuration, Timestamp};
use sluice_subscriptions::relationships::{Check, ObjectRef, Relationship, Schema, SubjectRef, Touched, Update};

/// How far the datastore's clock may be behind this one. For as long behind its end a relationship may still be the reason of
/// an answer, which then is of no use for another question.
const CLOCKS_APART: SignedDuration = SignedDuration::from_secs(5);

/// Relationships beyond these are looked over before more are noted: those that are long over go.
const LOOK_OVER: usize = 4096;

/// The relationships that will expire.
pub(super) struct Expirations {
    schema: Schema,
    readings: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    #[default]
    Unknown,
    /// By the reading of this number: what was written since it began.
    Reading(u64, Vec<Update>),
    Known(Known),
}

#[derive(Default)]
struct Known {
    /// By whose answers they are behind.
    by_answers: HashMap<Touched, HashMap<Expiring, Timestamp>>,
    count: usize,
    look_over_at: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Expiring {
    resource: ObjectRef,
    relation: std::sync::Arc<str>,
    subject: SubjectRef,
}

/// Until when an answer holds as long as nothing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Not all are known now.
    Unknown,
    At(Timestamp),
    Ever,
}

impl Expirations {
    pub(super) fn new(schema: Schema) -> Self {
        Self { schema, readings: AtomicU64::default(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Relations whose relationships may expire, behind their objects' type, in which SpiceDB has to be asked for them.
    pub(super) fn relations(&self) -> Vec<(String, String)> {
        let writable = self.schema.writable().filter(|one| one.expiring && one.object_type != super::watch::GATEWAY);
        let mut relations: Vec<_> = writable.map(|one| (one.object_type.to_owned(), one.relation.to_owned())).collect();
        relations.sort();
        relations.dedup();
        relations
    }

    /// They are about to be read, as of a revision; what is written behind it is to be noted from now on. Gives the number of the
    /// reading.
    pub(super) fn reading(&self) -> u64 {
        let number = self.readings.fetch_add(1, Ordering::Relaxed);
        *self.state() = State::Reading(number, Vec::new());
        number
    }

    /// These are all, as of that revision. One that was given up meanwhile is of no use.
    pub(super) fn are(&self, reading: u64, relationships: impl IntoIterator<Item = Relationship>) {
        let mut known = Known::default();
        relationships.into_iter().for_each(|one| known.note(&self.schema, one));
        let mut state = self.state();
        if let State::Reading(number, since) = &mut *state
            && *number == reading
        {
            std::mem::take(since).into_iter().for_each(|update| known.update(&self.schema, update));
            *state = State::Known(known);
        }
    }

    pub(super) fn are_known(&self) -> bool {
        matches!(&*self.state(), State::Known(_))
    }

    /// Some may be missed from now on.
    pub(super) fn lost(&self) {
        *self.state() = State::Unknown;
    }

    pub(super) fn note(&self, update: Update) {
        match &mut *self.state() {
            State::Unknown => {}
            State::Reading(_, since) => since.push(update),
            State::Known(known) => known.update(&self.schema, update),
        }
    }

    /// For a yes to this check.
    pub(super) fn until(&self, check: &Check) -> Until {
        match &*self.state() {
            State::Unknown | State::Reading(..) => Until::Unknown,
            State::Known(known) => known.until(&self.schema, check).map_or(Until::Ever, Until::At),
        }
    }
}

impl Known {
    fn update(&mut self, schema: &Schema, update: Update) {
        match update {
            Update::Touch(one) => self.note(schema, one),
            Update::Delete(one) => self.note(schema, Relationship { expires: None, ..one }),
        }
    }

    /// Without an expiration it is none any more, if it was one.
    fn note(&mut self, schema: &Schema, one: Relationship) {
        let answers = schema.touched_by(&one);
        let Relationship { resource, relation, subject, expires } = one;
        let expiring = Expiring { resource, relation, subject };
        match expires {
            Some(at) => {
                if self.count >= LOOK_OVER.max(self.look_over_at) {
                    self.look_over();
                }
                let before = self.by_answers.entry(answers).or_default().insert(expiring, at);
                self.count += usize::from(before.is_none());
            }
            None => {
                let Some(of) = self.by_answers.get_mut(&answers) else { return };
                self.count -= usize::from(of.remove(&expiring).is_some());
                if of.is_empty() {
                    self.by_answers.remove(&answers);
                }
            }
        }
    }

    fn look_over(&mut self) {
        let over = Timestamp::now() - CLOCKS_APART;
        self.by_answers.retain(|_, of| {
            of.retain(|_, at| *at > over);
            !of.is_empty()
        });
        self.count = self.by_answers.values().map(HashMap::len).sum();
        self.look_over_at = 2 * self.count;
    }

    fn until(&self, schema: &Schema, Check { resource, subject, .. }: &Check) -> Option<Timestamp> {
        if self.by_answers.is_empty() {
            return None;
        }
        let over = Timestamp::now() - CLOCKS_APART;
        let tenant = resource.id.split_once('/').map_or(&*resource.id, |(tenant, _)| tenant);
        let answers = [
            Touched::Resource(resource.clone()),
            Touched::Subject(subject.clone()),
            Touched::Tenant(tenant.into()),
            Touched::Everything,
        ];
        let of = answers.iter().filter_map(|answers| self.by_answers.get(answers)).flatten();
        // Another person's own is not behind this one's answer.
        let concerns = |one: &Expiring| {
            one.subject.object == *subject || one.subject.relation.is_some() || !schema.is_person(&one.subject.object)
        };
        of.filter(|(one, at)| **at > over && concerns(one)).map(|(_, at)| *at).min()
    }
}

#[cfg(test)]
mod tests {
    use sluice_schema::ids::TenantId;
    use sluice_subscriptions::relationships::SCHEMA;

    use super::*;

    fn object(object_type: &str, id: &str) -> ObjectRef {
        ObjectRef::new(object_type, &"acme".parse::<TenantId>().unwrap(), id)
    }

    fn one(resource: (&str, &str), relation: &str, subject: (&str, &str), seconds: Option<i64>) -> Relationship {
        Relationship {
            resource: object(resource.0, resource.1),
            relation: relation.into(),
            subject: SubjectRef { object: object(subject.0, subject.1), relation: None },
            expires: seconds.map(at),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(Timestamp::now().as_second() + seconds).unwrap()
    }

    fn until(expirations: &Expirations, member: &str, user: &str) -> Until {
        let (resource, subject) = (object("member", member), object("user", user));
        expirations.until(&Check { resource, permission: "see_coverage_as_family".into(), subject })
    }

    fn expirations() -> Expirations {
        Expirations::new(Schema::parse(SCHEMA).unwrap())
    }

    #[test]
    fn until_they_are_read_nothing_is_known() {
        let expirations = Expirations::new(Schema::parse(SCHEMA).unwrap());
        expirations.note(Update::Touch(one(("member", "m-1"), "guardian", ("user", "u-1"), Some(60))));
        expirations.are(0, []);
        assert_eq!(until(&expirations, "m-1", "u-1"), Until::Unknown, "nobody began to read them");
        let given_up = expirations.reading();
        let reading = expirations.reading();
        expirations.are(given_up, []);
        expirations.note(Update::Touch(one(("member", "m-1"), "guardian", ("user", "u-1"), Some(60))));
        assert_eq!(until(&expirations, "m-1", "u-1"), Until::Unknown);
        expirations.are(reading, [one(("member", "m-1"), "guardian", ("user", "u-1"), Some(10))]);
        assert_eq!(until(&expirations, "m-1", "u-1"), Until::At(at(60)), "what was written meanwhile is newer");
        expirations.lost();
        assert_eq!(until(&expirations, "m-1", "u-1"), Until::Unknown);
    }

    #[test]
    fn an_answer_ends_with_the_first_that_may_be_behind_it() {
        let expirations = expirations();
        expirations.are(
            expirations.reading(),
            [
                one(("member", "m-1"), "guardian", ("user", "u-1"), Some(60)),
                one(("member", "m-1"), "care_team", ("care_team", "t-1"), Some(90)),
                one(("care_team", "t-1"), "covering", ("user", "u-2"), Some(30)),
            ],
        );
        let near = |seconds| Until::At(at(seconds));
        assert_eq!(until(&expirations, "m-1", "u-1"), near(60), "her own");
        assert_eq!(until(&expirations, "m-1", "u-3"), near(90), "the team's is anybody's");
        assert_eq!(until(&expirations, "m-1", "u-2"), near(30));
        assert_eq!(until(&expirations, "m-2", "u-2"), near(30), "she covers in a team that may be anybody's");
        assert_eq!(until(&expirations, "m-2", "u-1"), Until::Ever);
    }

    #[test]
    fn what_is_written_later_counts() {
        let expirations = expirations();
        expirations.are(expirations.reading(), [one(("member", "m-1"), "guardian", ("user", "u-1"), Some(60))]);
        expirations.note(Update::Touch(one(("member", "m-1"), "guardian", ("user", "u-1"), Some(600))));
        assert_eq!(until(&expirations, "m-1", "u-1"), Until::At(at(600)));
        expirations.note(Update::Touch(one(("member", "m-1"), "guardian", ("user", "u-1"), None)));
        assert_eq!(until(&expirations, "m-1", "u-1"), Until::Ever);
        expirations.note(Update::Touch(one(("member", "m-1"), "family", ("user", "u-1"), Some(5))));
        expirations.note(Update::Delete(one(("member", "m-1"), "family", ("user", "u-1"), None)));
        assert_eq!(until(&expirations, "m-1", "u-1"), Until::Ever);
    }

    #[test]
    fn one_that_is_just_over_may_still_be_the_reason() {
        let expirations = expirations();
        expirations.are(expirations.reading(), [one(("member", "m-1"), "guardian", ("user", "u-1"), Some(-1))]);
        assert_eq!(until(&expirations, "m-1", "u-1"), Until::At(at(-1)));
        expirations.are(expirations.reading(), [one(("member", "m-1"), "guardian", ("user", "u-1"), Some(-60))]);
        assert_eq!(until(&expirations, "m-1", "u-1"), Until::Ever);
    }

    #[test]
    fn what_is_over_is_not_kept_for_ever() {
        let mut known = Known::default();
        let schema = Schema::parse(SCHEMA).unwrap();
        for number in 0..3 * LOOK_OVER {
            known.note(&schema, one(("member", &format!("m-{number}")), "guardian", ("user", "u-1"), Some(-60)));
        }
        assert!(known.count <= LOOK_OVER, "{}", known.count);
    }
}
