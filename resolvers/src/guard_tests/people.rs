//! Invented people, and what they are to the members m-1 and m-2.

use jiff::Timestamp;
use sluice_schema::{
    ids::TenantId,
    viewer::{PurposeOfUse, Viewer},
};
use sluice_subscriptions::relationships::{ObjectRef, Relationship, SubjectRef, Update};

pub(super) const TENANT: &str = "acme";

/// Each with the purpose that suits her.
const PEOPLE: [(&str, PurposeOfUse); 9] = [
    ("mia", PurposeOfUse::PatientRequest),
    ("gus", PurposeOfUse::PatientRequest),
    ("gwen", PurposeOfUse::PatientRequest),
    ("nora", PurposeOfUse::Treatment),
    ("ned", PurposeOfUse::Treatment),
    ("carl", PurposeOfUse::Payment),
    ("cleo", PurposeOfUse::Payment),
    ("max", PurposeOfUse::PatientRequest),
    ("sam", PurposeOfUse::Operations),
];

/// Resource, relation, subject; a subject with `#` is a set.
const RELATIONS: [(&str, &str, &str); 20] = [
    ("member:m-1", "self", "user:mia"),
    ("member:m-2", "self", "user:max"),
    ("member:m-1", "guardian", "user:gus"),
    ("member:m-1", "guardian", "user:gwen"),
    ("member:m-1", "family", "user:max"),
    ("member:m-1", "care_team", "care_team:t-1"),
    ("member:m-2", "care_team", "care_team:t-1"),
    ("care_team:t-1", "member", "user:nora"),
    ("care_team:t-1", "lead", "user:ned"),
    ("member:m-1", "organization", "organization:clinic"),
    ("member:m-2", "organization", "organization:clinic"),
    ("organization:clinic", "billing", "user:carl"),
    ("organization:clinic", "billing", "user:cleo"),
    ("organization:clinic", "billing", "user:nora"),
    ("member:m-1", "consent_hiv", "user:nora"),
    ("member:m-1", "consent_substance_use", "care_team:t-1#treats"),
    ("member:m-1", "consent_reproductive", "user:carl"),
    ("member:m-2", "consent_behavioral_health", "user:cleo"),
    ("member:m-1", "blocked", "user:ned"),
    ("member:m-1", "blocked", "user:gwen"),
];

/// Nobody is blocked to begin with.
pub(super) const AT_FIRST: u32 = (1 << 18) - 1;

pub(super) fn viewer(person: u8, purpose: u8) -> Viewer {
    let (user, suits) = PEOPLE[usize::from(person) % PEOPLE.len()];
    let others =
        [PurposeOfUse::Treatment, PurposeOfUse::Payment, PurposeOfUse::Operations, PurposeOfUse::PatientRequest];
    Viewer {
        tenant: TENANT.parse().expect("a tenant"),
        user: user.parse().expect("a user"),
        actor: None,
        purpose: if purpose < 200 { suits } else { others[usize::from(purpose) % others.len()] },
        expires: Timestamp::MAX.into(),
        token: Default::default(),
    }
}

/// What holds now: a bit for each relation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Related(u32);

impl Related {
    pub(super) fn new(bits: u32) -> (Self, Vec<Update>) {
        let held = (0..RELATIONS.len()).filter(|number| bits >> number & 1 == 1);
        (Self(bits), held.map(|number| Update::Touch(relation(number))).collect())
    }

    pub(super) fn toggle(&mut self, number: u8) -> Update {
        let number = usize::from(number) % RELATIONS.len();
        self.0 ^= 1 << number;
        let relation = relation(number);
        if self.0 >> number & 1 == 1 { Update::Touch(relation) } else { Update::Delete(relation) }
    }
}

fn relation(number: usize) -> Relationship {
    let (resource, relation, subject) = RELATIONS[number];
    let (subject, of) = subject.split_once('#').map_or((subject, None), |(subject, of)| (subject, Some(of.into())));
    Relationship {
        resource: object(resource),
        relation: relation.into(),
        subject: SubjectRef { object: object(subject), relation: of },
        expires: None,
    }
}

fn object(text: &str) -> ObjectRef {
    let tenant: TenantId = TENANT.parse().expect("a tenant");
    let (kind, id) = text.split_once(':').expect("type:id");
    ObjectRef::new(kind, &tenant, id)
}
