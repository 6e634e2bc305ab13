//! What each role is shown, asked for as every request and every event is, and held against docs/access.md.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use sluice_schema::{
    access::{Label, MESSAGES, Mask, Sensitivities},
    ids::{MemberId, TenantId, UserId},
    viewer::{PurposeOfUse, Viewer},
};

use super::{
    super::{Check, Consistency, Relationship, Relationships, SubjectRef, Update},
    MEMBER,
    documents::{self, CLASSES, Cell, Permitted, Shown},
    member_of, story,
};
use crate::access::{Access, Question};

const PATIENCE: Duration = Duration::from_secs(20);

/// Who of the story is of a role of the documents: everybody is of one.
const ROLES: [(&str, &[&str]); 16] = [
    ("self", &["self", "self, who blocked herself"]),
    ("personal representative", &["representative"]),
    ("guardian of a child", &["guardian of a child"]),
    (
        "guardian of an adolescent",
        &["guardian of an adolescent", "guardian, confidential since now", "guardian until later"],
    ),
    ("family", &["family"]),
    ("family for coverage", &["family for coverage"]),
    ("family for care", &["family for care"]),
    ("care team", &["lead", "nurse"]),
    ("covering", &["covering until later"]),
    ("at the encounter", &["at the visit"]),
    ("broke the glass", &["broke the glass"]),
    ("billing", &["billing"]),
    ("operations", &["operations"]),
    ("privacy officer", &["privacy officer"]),
    ("blocked", &["blocked, with every relation", "blocked nurse", "blocked staff"]),
    (
        "no relation",
        &[
            "representative until now",
            "guardian until now",
            "family for care until now",
            "nurse until now",
            "covering until now",
            "nurse of an ended referral",
            "nurse of another team",
            "at the visit until now",
            "at a visit that is over",
            "broke the glass an hour ago",
            "access manager",
            "clinician",
            "billing elsewhere",
            "colleague",
            "stranger",
            "consent substance use",
            "consent hiv until now",
            "consent genetic until later",
            "consents of normal care",
            "nurse of a consented team",
            "nurse of a team consented till now",
        ],
    ),
];

/// Walks every role × each purpose of use × every label, and every role × each permission: without a consent, with a consent
/// to each class, and with a consent to all. Writes its people into tenants of its own, whose names begin with this.
///
/// # Panics
/// Where what is shown is not what docs/access.md says.
pub async fn each_role_is_shown_just_what_the_documents_say(relationships: Arc<dyn Relationships>, tenant: &TenantId) {
    assert!(ROLES.iter().map(|(_, people)| people.len()).sum::<usize>() == MEMBER.len(), "somebody is of no role");
    let classes = CLASSES.map(|(_, _, class)| Sensitivities::of(class));
    let consents = classes.into_iter().chain([Sensitivities::NORMAL, Sensitivities::ALL]);
    for consents in consents {
        let tenant = format!("{tenant}-{}", consents.bits()).parse().expect("a tenant");
        let walk = Walk { tenant, consents, relationships: relationships.clone() };
        walk.write().await;
        walk.hold_permissions().await;
        walk.hold_shown().await;
    }
}

/// Of the people, where they all have a consent to the same classes.
struct Walk {
    tenant: TenantId,
    consents: Sensitivities,
    relationships: Arc<dyn Relationships>,
}

impl Walk {
    async fn write(&self) {
        self.relationships.write(story::updates(&self.tenant)).await.expect("the people can be written");
        let consents: Vec<_> = people().flat_map(|(_, person)| self.consents_to(person)).collect();
        if !consents.is_empty() {
            self.relationships.write(consents).await.expect("consents can be written");
        }
    }

    fn consents_to(&self, person: &str) -> impl Iterator<Item = Update> {
        let resource = story::object(&self.tenant, "member", member_of(person));
        let subject = SubjectRef { object: story::object(&self.tenant, "user", person), relation: None };
        let given = CLASSES.into_iter().filter(|(_, name, _)| self.is_given(name));
        given.map(move |(_, name, _)| {
            let relation = format!("consent_{name}").into();
            Update::Touch(Relationship {
                resource: resource.clone(),
                relation,
                subject: subject.clone(),
                expires: None,
            })
        })
    }

    /// Whether there is a consent to the class of this name.
    fn is_given(&self, class: &str) -> bool {
        let given = |class| self.consents.within(Sensitivities::of(class)) != Sensitivities::NORMAL;
        CLASSES.iter().any(|(_, name, of)| *name == class && given(*of))
    }

    async fn hold_permissions(&self) {
        let permitted = documents::permitted();
        let mut cells = Vec::new();
        for Permitted { role, permission, cell } in &permitted {
            let class = permission.trim_start_matches("see_").trim_end_matches("_for_treatment");
            let open = cell.is_open(self.is_given(class));
            assert!(*cell != Cell::Consent || CLASSES.iter().any(|(_, name, _)| *name == class), "{permission}");
            cells.extend(people_of(role).iter().map(|person| (*person, *permission, open)));
        }
        let check = |(person, permission, _): &(&str, &str, bool)| Check {
            resource: story::object(&self.tenant, "member", member_of(person)),
            permission: (*permission).into(),
            subject: story::object(&self.tenant, "user", person),
        };
        let checks: Vec<_> = cells.iter().map(check).collect();
        let answered = self.relationships.check_many(Consistency::Full, &checks).await.expect("all can be asked");
        let wrong: Vec<_> =
            cells.iter().zip(answered.allowed).filter(|((.., open), allowed)| open != allowed).collect();
        assert!(wrong.is_empty(), "with consents to {:?} docs/access.md says otherwise: {wrong:#?}", self.consents);
    }

    async fn hold_shown(&self) {
        let shown = documents::shown();
        let is_walked = |row: &Shown| PURPOSES.iter().any(|purpose| purpose.code() == row.purpose);
        assert!(
            shown.iter().all(|row| is_walked(row) && !people_of(row.role).is_empty()),
            "nobody has one of the rows"
        );
        let labels: Vec<_> = documents::labels().into_iter().chain(labels_in_use()).collect();
        // Nothing that one of them keeps answers for the other.
        let [asker, event] = [(); 2].map(|()| Access::new(self.relationships.clone(), PATIENCE));
        let mut wrong = Vec::new();
        for (role, person) in people() {
            let viewers = PURPOSES.map(|purpose| self.viewer(person, purpose));
            let member: MemberId = member_of(person).parse().expect("a member");
            let question = |viewer| Question { viewer, member: Some(&member), demand: Mask::EVERYTHING };
            let questions = viewers.each_ref().map(question);
            let asked = asker.decide_for(&questions).await.expect("all can be asked");
            let of_event = event.decide(&questions).await.expect("all can be asked");
            for (decided, viewer) in asked.iter().chain(&of_event).zip(viewers.iter().cycle()) {
                let row = shown.iter().find(|row| row.role == role && row.purpose == viewer.purpose.code());
                let says = |label| row.is_some_and(|row| Shown::shows(row, label, self.consents));
                let differ = labels.iter().filter(|label| decided.mask.sees(**label) != says(**label));
                wrong.extend(differ.map(|label| (person, viewer.purpose, *label, says(*label))));
            }
        }
        assert!(wrong.is_empty(), "with consents to {:?} docs/access.md says: {wrong:#?}", self.consents);
    }

    fn viewer(&self, person: &str, purpose: PurposeOfUse) -> Viewer {
        let object = story::object(&self.tenant, "user", person);
        let user: UserId = object.id.rsplit('/').next().unwrap_or_default().parse().expect("a user");
        let tenant = self.tenant.clone();
        Viewer { tenant, user, actor: None, purpose, expires: Timestamp::MAX.into(), token: Default::default() }
    }
}

const PURPOSES: [PurposeOfUse; 4] =
    [PurposeOfUse::PatientRequest, PurposeOfUse::Treatment, PurposeOfUse::Payment, PurposeOfUse::Operations];

fn people() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROLES.into_iter().flat_map(|(role, people)| people.iter().map(move |person| (role, *person)))
}

fn people_of(role: &str) -> &'static [&'static str] {
    let found = ROLES.iter().find(|(name, _)| *name == role);
    found.unwrap_or_else(|| panic!("docs/access.md: nobody is {role:?}")).1
}

/// Those of all annotations.
fn labels_in_use() -> impl Iterator<Item = Label> {
    let of = |table: &&'static sluice_schema::access::MessageTable| {
        table.fields.iter().map(|field| field.label).chain([table.label]).collect::<Vec<_>>()
    };
    MESSAGES.iter().flat_map(of)
}
