//! What the text of a record tells of: by what it must be found.

use serde::Deserialize;
use sluice_subscriptions::audit::Digest;

/// By whom and of whom a record is looked up, read out of its text alone: the same as [`super::Entry`] had it written by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) tenant: String,
    /// Whom the text itself tells of. No two alike.
    pub(crate) users: Vec<String>,
    /// No two alike.
    pub(crate) patients: Vec<String>,
    /// What the text names.
    pub(crate) audience: Option<Digest>,
}

/// The parts of all kinds of records that somebody is looked up by.
#[derive(Deserialize)]
struct Body {
    tenant: String,
    patient: Option<String>,
    #[serde(default)]
    disclosed: Vec<Disclosed>,
    recipient: Option<Person>,
    actor: Option<Person>,
    #[serde(default)]
    recipients: Vec<Person>,
    audience: Option<Digest>,
}

#[derive(Deserialize)]
struct Disclosed {
    patient: Option<String>,
}

#[derive(Deserialize)]
struct Person {
    user: String,
    actor: Option<String>,
}

impl Told {
    /// `None` where it is no record's text: one that was altered is found by its hash.
    pub(crate) fn of(body: &[u8]) -> Option<Self> {
        let body: Body = serde_json::from_slice(body).ok()?;
        let people = body.recipient.into_iter().chain(body.actor).chain(body.recipients);
        let disclosed = body.disclosed.into_iter().filter_map(|disclosed| disclosed.patient);
        Some(Self {
            tenant: body.tenant,
            users: users(people),
            patients: distinct(disclosed.chain(body.patient)),
            audience: body.audience,
        })
    }
}

/// Everybody in an audience as it is kept, once; nobody where it can't be read.
pub(crate) fn users_of_audience(kept: &[u8]) -> Vec<String> {
    users(serde_json::from_slice::<Vec<Person>>(kept).unwrap_or_default().into_iter())
}

fn users(people: impl Iterator<Item = Person>) -> Vec<String> {
    distinct(people.flat_map(|person| std::iter::once(person.user).chain(person.actor)))
}

fn distinct(ids: impl Iterator<Item = String>) -> Vec<String> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use sluice_subscriptions::audit::contract::{administered, audience, delivery, records, tried};

    use super::*;
    use crate::audit_chain::Entry;

    #[test]
    fn a_text_tells_what_its_record_was_indexed_by() {
        let many = delivery(3, &audience((990..=1010).chain(1..=2)));
        let others = [administered(1, true), administered(2, false), delivery(4, &audience([1, 1001])), many];
        for record in records(1).into_iter().chain(tried(2)).chain(others) {
            let entry = Entry::try_from(&record).unwrap();
            let texts = |ids: &[_]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
            let indexed = Told {
                tenant: entry.tenant.to_string(),
                users: texts(&entry.users),
                patients: entry.patients.iter().map(ToString::to_string).collect(),
                audience: entry.audience.as_ref().map(|named| named.digest),
            };
            assert_eq!(Told::of(entry.body.as_bytes()), Some(indexed), "{}", entry.body);
            if let Some(named) = entry.audience {
                assert_eq!(users_of_audience(named.audience.canonical().as_bytes()), texts(&named.users()));
            }
        }
    }
}
