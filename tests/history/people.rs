//! Who takes part: invented people, two members, and what of an event they ask for.

use serde_json::{Value, json};
use sluice_schema::{
    access::{Label, Mask, Sensitivities, Visibilities, permissions},
    ids::TenantId,
    proto::privacy::{Sensitivity, Visibility},
    viewer::PurposeOfUse,
};
use sluice_subscriptions::relationships::{Check, ObjectRef};

pub(super) const MEMBERS: [&str; 2] = ["m-1", "m-2"];

/// Who says what the members themselves say, in the order of the members.
pub(super) const SELVES: [&str; 2] = ["u-self-1", "u-self-2"];

/// Who writes down the other relations.
pub(super) const REGISTRAR: &str = "u-registrar";

pub(super) struct Person {
    pub(super) user: &'static str,
    pub(super) purpose: PurposeOfUse,
}

const fn person(user: &'static str, purpose: PurposeOfUse) -> Person {
    Person { user, purpose }
}

/// Everybody who watches both members. The first may always see the first member.
pub(super) const PEOPLE: [Person; 7] = [
    person(SELVES[0], PurposeOfUse::PatientRequest),
    person("u-family", PurposeOfUse::PatientRequest),
    person("u-guardian", PurposeOfUse::PatientRequest),
    person("u-nurse", PurposeOfUse::Treatment),
    person("u-cover", PurposeOfUse::Treatment),
    person("u-doctor", PurposeOfUse::Treatment),
    person("u-billing", PurposeOfUse::Payment),
];

/// A field of the check that an event tells of.
pub(super) struct Field {
    /// Where it is in the answer: the path from the check on.
    pub(super) path: [&'static str; 2],
    /// What is selected below.
    below: &'static str,
    audiences: &'static [Visibility],
    class: Sensitivity,
    /// By everything that was written, for each event.
    pub(super) strict: bool,
}

const EVERYBODY: &[Visibility] =
    &[Visibility::Member, Visibility::FamilyCoverage, Visibility::CareTeam, Visibility::Staff];

/// The labels are copied by hand from schema/proto/sluice/eligibility/v1/eligibility.proto. The first is that of the event;
/// what is strict comes last.
pub(super) const FIELDS: [Field; 7] = [
    field("planName", "", EVERYBODY, Sensitivity::Normal),
    field("groupName", "", &[Visibility::Member, Visibility::FamilyCoverage, Visibility::Staff], Sensitivity::Normal),
    field("planNumber", "", &[Visibility::Member, Visibility::Staff], Sensitivity::Normal),
    field(
        "limitations",
        "{ text }",
        &[Visibility::Member, Visibility::CareTeam, Visibility::Staff],
        Sensitivity::Normal,
    ),
    field("behavioralHealthBenefits", "{ name }", EVERYBODY, Sensitivity::BehavioralHealth),
    field("hivBenefits", "{ name }", EVERYBODY, Sensitivity::Hiv),
    Field { strict: true, ..field("substanceUseBenefits", "{ name }", EVERYBODY, Sensitivity::SubstanceUse) },
];

/// The place of `planNumber`.
pub(super) const PLAN_NUMBER: usize = 2;

const fn field(name: &'static str, below: &'static str, audiences: &'static [Visibility], class: Sensitivity) -> Field {
    Field { path: ["coverage", name], below, audiences, class, strict: false }
}

impl Field {
    pub(super) fn label(&self) -> Label {
        let visibilities = self.audiences.iter().map(|audience| Visibilities::of(*audience));
        Label {
            visibilities: visibilities.fold(Visibilities::NONE, Visibilities::with),
            sensitivities: Sensitivities::of(self.class),
        }
    }
}

/// What somebody selects of a member. Half of all leave out what is strict: with it every event is asked about, and nothing
/// is decided by what was decided before.
pub(super) fn selected(person: usize, member: usize) -> &'static [Field] {
    let strict = (person + member).is_multiple_of(2);
    if strict { &FIELDS } else { &FIELDS[..FIELDS.len() - 1] }
}

/// A subscription to that.
pub(super) fn document(selected: &[Field]) -> String {
    let fields: String = selected.iter().map(|field| format!("{} {} ", field.path[1], field.below)).collect();
    format!(
        "subscription($member: ID!, $after: Cursor) {{
            memberEligibility(memberId: $member, after: $after) {{ id coverage {{ {fields} }} }}
        }}"
    )
}

pub(super) fn variables(member: usize, after: &str) -> Value {
    json!({ "member": MEMBERS[member], "after": after })
}

/// What has to be asked to know what somebody may see of a member.
pub(super) fn checks(tenant: &TenantId, person: &Person, member: usize) -> Vec<Check> {
    let resource = ObjectRef::new("member", tenant, MEMBERS[member]);
    let subject = ObjectRef::new("user", tenant, person.user);
    let check = |name: &str| Check { resource: resource.clone(), permission: name.into(), subject: subject.clone() };
    permissions(person.purpose).iter().map(|permission| check(permission.name)).collect()
}

/// What she may see, by the answers to these checks. What a permission opens is held against docs/access.md elsewhere.
pub(super) fn mask(person: &Person, allowed: impl IntoIterator<Item = bool>) -> Mask {
    let granted = permissions(person.purpose).iter().zip(allowed).filter(|(_, allowed)| *allowed);
    granted.fold(Mask::NOTHING, |mask, (permission, _)| mask.with(permission.opens()))
}
