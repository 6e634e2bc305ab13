//! What changes in a run: at random, each by a mutation where there is one, or past the gateways.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sluice_schema::{ids::TenantId, viewer::PurposeOfUse};
use sluice_subscriptions::relationships::{ObjectRef, Relationship, SubjectRef, Update};

use super::people::{MEMBERS, REGISTRAR, SELVES};

const TEAM: &str = "t-1";
const CLINIC: &str = "clinic";

/// What there is at first.
pub(super) fn at_first(tenant: &TenantId) -> Vec<Update> {
    let relate = |resource: (&str, &str), relation: &str, subject: (&str, &str)| {
        Update::Touch(relationship(tenant, resource, relation, subject, None))
    };
    let mut updates = vec![
        relate(("care_team", TEAM), "organization", ("organization", CLINIC)),
        relate(("care_team", TEAM), "member", ("user", "u-nurse")),
        relate(("organization", CLINIC), "billing", ("user", "u-billing")),
        relate(("organization", CLINIC), "access_manager", ("user", REGISTRAR)),
    ];
    for ((member, oneself), visit) in MEMBERS.iter().zip(SELVES).zip(VISITS) {
        updates.extend([
            relate(("member", member), "organization", ("organization", CLINIC)),
            relate(("member", member), "self", ("user", oneself)),
            relate(("member", member), "care_team", ("care_team", TEAM)),
            relate(("member", member), "encounter", ("encounter", visit)),
            relate(("member", member), "family", ("user", "u-family")),
        ]);
    }
    updates
}

const VISITS: [&str; 2] = ["e-1", "e-2"];

/// How the gateways are told of a relation.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// `grantAccess`, by the member herself.
    Hers,
    /// `grantAccess`, by the registrar.
    Registered,
    /// `setConsent`, by the member herself.
    Consent,
    /// `setCareTeamMember`, by the registrar.
    Team,
    /// No mutation writes it, or another service does.
    Others,
}

/// Whether a relation ends by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ends {
    Never,
    Always,
    AtTimes,
}

/// A relation that comes and goes: of one of the members, or of what is behind both.
struct Slot(&'static str, &'static str, (&'static str, &'static str), Way, Ends);

/// The resource's type (of the member, or of her visit), the relation, the subject.
#[rustfmt::skip]
const SLOTS: [Slot; 22] = [
    Slot("member", "family", ("user", "u-family"), Way::Hers, Ends::AtTimes),
    Slot("member", "family_coverage", ("user", "u-family"), Way::Hers, Ends::AtTimes),
    Slot("member", "family_care", ("user", "u-family"), Way::Others, Ends::AtTimes),
    Slot("member", "blocked", ("user", "u-family"), Way::Hers, Ends::Never),
    Slot("member", "guardian", ("user", "u-guardian"), Way::Registered, Ends::AtTimes),
    Slot("member", "guardian_of_child", ("user", "u-guardian"), Way::Others, Ends::AtTimes),
    Slot("member", "personal_representative", ("user", "u-guardian"), Way::Registered, Ends::AtTimes),
    Slot("member", "blocked", ("user", "u-guardian"), Way::Others, Ends::Never),
    Slot("member", "consent_hiv", ("user", "u-nurse"), Way::Consent, Ends::AtTimes),
    Slot("member", "consent_substance_use", ("user", "u-nurse"), Way::Consent, Ends::AtTimes),
    Slot("member", "consent_substance_use", ("user", "u-doctor"), Way::Others, Ends::AtTimes),
    Slot("member", "consent_behavioral_health", ("user", "u-billing"), Way::Consent, Ends::AtTimes),
    Slot("member", "blocked", ("user", "u-nurse"), Way::Hers, Ends::Never),
    Slot("member", "emergency", ("user", "u-doctor"), Way::Others, Ends::Always),
    Slot("member", "care_team", ("care_team", TEAM), Way::Others, Ends::AtTimes),
    Slot("encounter", "participant", ("user", "u-doctor"), Way::Others, Ends::AtTimes),
    Slot("care_team", "member", ("user", "u-nurse"), Way::Team, Ends::AtTimes),
    Slot("care_team", "covering", ("user", "u-cover"), Way::Team, Ends::Always),
    Slot("care_team", "covering", ("user", "u-cover"), Way::Others, Ends::Always),
    Slot("organization", "billing", ("user", "u-billing"), Way::Others, Ends::Never),
    Slot("member", "consent_behavioral_health", ("user", "u-family"), Way::Consent, Ends::AtTimes),
    Slot("member", "consent_substance_use", ("user", "u-family"), Way::Others, Ends::AtTimes),
];

/// Slots, and of which member, that [`at_first`] gives.
const AT_FIRST: [(usize, usize); 6] = [(0, 0), (0, 1), (14, 0), (14, 1), (16, 0), (19, 0)];

/// A mutation, and who sends it for what purpose.
pub(super) struct Mutation {
    pub(super) user: &'static str,
    pub(super) purpose: PurposeOfUse,
    pub(super) query: &'static str,
    pub(super) input: Value,
}

/// What is to be done.
pub(super) struct Planned {
    pub(super) update: Update,
    /// None: it is written past the gateways.
    pub(super) mutation: Option<Mutation>,
}

/// The shortest and the longest time for which something is granted, in milliseconds.
const LASTS: std::ops::Range<i64> = 250..1_000;

/// Makes up changes: what there is is taken away more often than not, what is not is given.
pub(super) struct Changes {
    tenant: TenantId,
    random: Rng,
    given: Vec<(usize, usize)>,
}

impl Changes {
    pub(super) fn new(tenant: &TenantId, seed: u64) -> Self {
        Self { tenant: tenant.clone(), random: Rng::with_seed(seed), given: AT_FIRST.into() }
    }

    pub(super) fn next(&mut self) -> Planned {
        let slot = self.random.usize(..SLOTS.len());
        let is_of_member = matches!(SLOTS[slot].0, "member" | "encounter");
        let member = if is_of_member { self.random.usize(..MEMBERS.len()) } else { 0 };
        let there = self.given.iter().position(|given| *given == (slot, member));
        let taken = there.is_some() && self.random.u8(..4) > 0;
        // What could not be given is taken all the same: that changes nothing.
        if let (true, Some(place)) = (taken, there) {
            self.given.swap_remove(place);
        } else if there.is_none() {
            self.given.push((slot, member));
        }
        let Slot(object_type, relation, subject, way, ends) = &SLOTS[slot];
        let lasts = *ends == Ends::Always || *ends == Ends::AtTimes && self.random.bool();
        let until = (lasts && !taken).then(|| self.until());
        let resource = match *object_type {
            "member" => MEMBERS[member],
            "encounter" => VISITS[member],
            "care_team" => TEAM,
            _ => CLINIC,
        };
        let relationship = relationship(&self.tenant, (object_type, resource), relation, *subject, until);
        let update = if taken { Update::Delete(relationship) } else { Update::Touch(relationship) };
        let mutation = mutation(*way, member, relation, subject.1, until, !taken);
        Planned { update, mutation }
    }

    /// To the millisecond, as GraphQL tells it.
    fn until(&mut self) -> Timestamp {
        let until = Timestamp::now() + SignedDuration::from_millis(self.random.i64(LASTS));
        Timestamp::from_millisecond(until.as_millisecond()).expect("it is near")
    }
}

const GRANT: &str = "mutation($input: GrantAccessInput!) { done: grantAccess(input: $input) { granted } }";
const REVOKE: &str = "mutation($input: RevokeAccessInput!) { done: revokeAccess(input: $input) { granted } }";
const CONSENT: &str = "mutation($input: SetConsentInput!) { done: setConsent(input: $input) { open } }";
const SET: &str = "mutation($input: SetCareTeamMemberInput!) { done: setCareTeamMember(input: $input) { role } }";
const REMOVE: &str =
    "mutation($input: RemoveCareTeamMemberInput!) { done: removeCareTeamMember(input: $input) { role } }";

fn mutation(
    way: Way,
    member: usize,
    relation: &str,
    user: &str,
    until: Option<Timestamp>,
    given: bool,
) -> Option<Mutation> {
    let name = relation.to_uppercase();
    let of_member = json!({ "memberId": MEMBERS[member], "userId": user });
    let (query, mut input) = match (way, given) {
        (Way::Others, _) => return None,
        (Way::Hers | Way::Registered, true) => (GRANT, with(of_member, "relation", name.into())),
        (Way::Hers | Way::Registered, false) => (REVOKE, with(of_member, "relation", name.into())),
        (Way::Consent, _) => {
            let class = name.strip_prefix("CONSENT_").expect("a consent").into();
            (CONSENT, with(with(of_member, "class", class), "open", given.into()))
        }
        (Way::Team, true) => (SET, json!({ "careTeamId": TEAM, "userId": user, "role": name })),
        (Way::Team, false) => (REMOVE, json!({ "careTeamId": TEAM, "userId": user })),
    };
    if let Some(until) = until {
        input = with(input, "until", until.to_string().into());
    }
    let (user, purpose) = match way {
        Way::Hers | Way::Consent => (SELVES[member], PurposeOfUse::PatientRequest),
        _ => (REGISTRAR, PurposeOfUse::Operations),
    };
    Some(Mutation { user, purpose, query, input })
}

fn with(mut input: Value, name: &str, value: Value) -> Value {
    input[name] = value;
    input
}

fn relationship(
    tenant: &TenantId,
    (object_type, id): (&str, &str),
    relation: &str,
    (subject_type, subject): (&str, &str),
    expires: Option<Timestamp>,
) -> Relationship {
    let object = ObjectRef::new(subject_type, tenant, subject);
    let resource = ObjectRef::new(object_type, tenant, id);
    Relationship { resource, relation: relation.into(), subject: SubjectRef { object, relation: None }, expires }
}
