//! People and how they are related, a user for each role of the tables.

use jiff::{SignedDuration, Timestamp};
use sluice_schema::ids::TenantId;

use super::super::{ObjectRef, Relationship, SubjectRef, Update};

pub(super) fn object(tenant: &TenantId, object_type: &str, id: &str) -> ObjectRef {
    ObjectRef::new(object_type, tenant, &id.replace([' ', ','], "-"))
}

struct Story<'t> {
    tenant: &'t TenantId,
    now: Timestamp,
    updates: Vec<Update>,
}

/// Until when a relationship is.
#[derive(Clone, Copy)]
enum Until {
    Ever,
    Later,
    Now,
}

use Until::{Ever, Later, Now};

impl Story<'_> {
    fn object(&self, object_type: &str, id: &str) -> ObjectRef {
        object(self.tenant, object_type, id)
    }

    fn tell(&mut self, resource: &ObjectRef, relation: &str, subject: SubjectRef, until: Until) {
        let expires = match until {
            Ever => None,
            Later => Some(self.now + SignedDuration::from_hours(1)),
            Now => Some(self.now),
        };
        let relationship = Relationship { resource: resource.clone(), relation: relation.into(), subject, expires };
        self.updates.push(Update::Touch(relationship));
    }

    fn users(&mut self, resource: &ObjectRef, users: &[(&str, &str, Until)]) {
        for (relation, user, until) in users {
            self.tell(resource, relation, plain(self.object("user", user)), *until);
        }
    }
}

fn plain(object: ObjectRef) -> SubjectRef {
    SubjectRef { object, relation: None }
}

pub(super) fn updates(tenant: &TenantId) -> Vec<Update> {
    let mut story = Story { tenant, now: Timestamp::now(), updates: Vec::new() };
    her_own(&mut story);
    who_treats(&mut story);
    staff(&mut story);
    consents(&mut story);
    blocked(&mut story);
    story.updates
}

fn her_own(story: &mut Story<'_>) {
    let member = story.object("member", "m-1");
    story.users(
        &member,
        &[
            ("self", "self", Ever),
            ("personal_representative", "representative", Ever),
            ("personal_representative", "representative until now", Now),
            ("guardian", "guardian of an adolescent", Ever),
            ("guardian", "guardian of a child", Later),
            ("guardian_of_child", "guardian of a child", Later),
            ("guardian", "guardian, confidential since now", Later),
            ("guardian_of_child", "guardian, confidential since now", Now),
            ("guardian", "guardian until later", Later),
            ("guardian", "guardian until now", Now),
            ("family", "family", Ever),
            ("family_coverage", "family for coverage", Ever),
            ("family_care", "family for care", Later),
            ("family_care", "family for care until now", Now),
            ("emergency", "broke the glass", Later),
            ("emergency", "broke the glass an hour ago", Now),
        ],
    );
    let selfish = [("self", "self, who blocked herself", Ever), ("blocked", "self, who blocked herself", Ever)];
    story.users(&story.object("member", "m-2"), &selfish);
}

fn who_treats(story: &mut Story<'_>) {
    let (member, clinic) = (story.object("member", "m-1"), story.object("organization", "clinic"));
    let [team, past, other] = ["t-1", "t-past", "t-other"].map(|id| story.object("care_team", id));
    story.tell(&member, "care_team", plain(team.clone()), Later);
    story.tell(&member, "care_team", plain(past.clone()), Now);
    story.tell(&team, "organization", plain(clinic), Ever);
    story.users(
        &team,
        &[
            ("lead", "lead", Ever),
            ("member", "nurse", Ever),
            ("member", "nurse until now", Now),
            ("covering", "covering until later", Later),
            ("covering", "covering until now", Now),
        ],
    );
    story.users(&past, &[("member", "nurse of an ended referral", Ever)]);
    story.users(&other, &[("lead", "nurse of another team", Ever)]);
    let [visit, over] = ["e-1", "e-past"].map(|id| story.object("encounter", id));
    story.tell(&member, "encounter", plain(visit.clone()), Later);
    story.tell(&member, "encounter", plain(over.clone()), Now);
    story.users(&visit, &[("participant", "at the visit", Ever), ("participant", "at the visit until now", Now)]);
    story.users(&over, &[("participant", "at a visit that is over", Ever)]);
}

fn staff(story: &mut Story<'_>) {
    let [clinic, elsewhere] = ["clinic", "elsewhere"].map(|id| story.object("organization", id));
    story.tell(&story.object("member", "m-1"), "organization", plain(clinic.clone()), Ever);
    story.users(
        &clinic,
        &[
            ("billing", "billing", Ever),
            ("operations", "operations", Ever),
            ("privacy_officer", "privacy officer", Ever),
            ("access_manager", "access manager", Ever),
            ("clinician", "clinician", Ever),
            ("member", "colleague", Ever),
        ],
    );
    story.users(&elsewhere, &[("billing", "billing elsewhere", Ever)]);
    story.users(&story.object("tenant", "acme"), &[("security", "security", Ever)]);
    let task = story.object("task", "k-1");
    story.tell(&task, "member", plain(story.object("member", "m-1")), Ever);
    story.users(&task, &[("assignee", "clinician", Ever), ("assignee", "blocked staff", Ever)]);
    let team = SubjectRef { object: story.object("care_team", "t-consented"), relation: Some("treats".into()) };
    story.tell(&task, "assignee", team, Ever);
}

fn consents(story: &mut Story<'_>) {
    let member = story.object("member", "m-1");
    story.users(
        &member,
        &[
            ("consent_substance_use", "consent substance use", Ever),
            ("consent_hiv", "consent hiv until now", Now),
            ("consent_genetic", "consent genetic until later", Later),
            ("consent_behavioral_health", "consents of normal care", Ever),
            ("consent_reproductive", "consents of normal care", Ever),
        ],
    );
    let teams =
        [("t-consented", "nurse of a consented team", Ever), ("t-ended", "nurse of a team consented till now", Now)];
    for (id, nurse, until) in teams {
        let team = story.object("care_team", id);
        story.users(&team, &[("member", nurse, Ever)]);
        story.tell(&member, "consent_hiv", SubjectRef { object: team, relation: Some("treats".into()) }, until);
    }
}

/// Whom the member closed out is somebody to her in every way that there is.
fn blocked(story: &mut Story<'_>) {
    let (member, team, clinic) =
        (story.object("member", "m-1"), story.object("care_team", "t-1"), story.object("organization", "clinic"));
    let everything = "blocked, with every relation";
    for relation in
        ["personal_representative", "guardian", "guardian_of_child", "family", "family_coverage", "family_care"]
    {
        story.users(&member, &[(relation, everything, Ever)]);
    }
    for class in ["behavioral_health", "substance_use", "hiv", "reproductive", "genetic"] {
        story.users(&member, &[(&format!("consent_{class}"), everything, Ever)]);
    }
    story.users(&member, &[("emergency", everything, Later)]);
    for user in [everything, "blocked nurse", "blocked staff"] {
        story.users(&member, &[("blocked", user, Ever)]);
    }
    story.users(&team, &[("member", "blocked nurse", Ever)]);
    for relation in ["billing", "operations", "privacy_officer", "access_manager", "clinician"] {
        story.users(&clinic, &[(relation, "blocked staff", Ever)]);
    }
    story.users(&story.object("encounter", "e-1"), &[("participant", "blocked nurse", Ever)]);
}
