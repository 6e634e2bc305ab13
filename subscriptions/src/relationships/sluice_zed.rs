//! Who may do what under `sluice.zed`: written by hand from the access rules.

use jiff::{SignedDuration, Timestamp};
use sluice_schema::ids::TenantId;

use super::{Check, ObjectRef, Relationship, SCHEMA, Schema, SubjectRef, Tuples, Update, check, required_permissions};

const PERMISSIONS: [&str; 13] = [
    "see_as_member",
    "see_as_family",
    "see_as_care_team_for_treatment",
    "see_as_staff_for_payment",
    "see_as_staff_for_operations",
    "see_behavioral_health",
    "see_substance_use",
    "see_hiv",
    "see_reproductive",
    "see_genetic",
    "see_behavioral_health_for_treatment",
    "see_reproductive_for_treatment",
    "request_eligibility_check",
];

/// A row for each role, a column for each of [`PERMISSIONS`]: y for yes.
#[rustfmt::skip]
const MATRIX: [(&str, &str); 26] = [
    //                              audiences  classes    treat  ask
    //                              M F T P O  B S H R G  B R  Q
    ("self",                       "y . . . .  y y y y y  y y  y"),
    ("guardian",                   ". y . . .  . . . . .  . .  y"),
    ("guardian until later",       ". y . . .  . . . . .  . .  y"),
    ("guardian until now",         ". . . . .  . . . . .  . .  ."),
    ("family",                     ". y . . .  . . . . .  . .  ."),
    ("lead",                       ". . y . .  . . . . .  y y  y"),
    ("nurse",                      ". . y . .  . . . . .  y y  y"),
    ("covering until later",       ". . y . .  . . . . .  y y  y"),
    ("covering until now",         ". . . . .  . . . . .  . .  ."),
    ("nurse of an ended referral", ". . . . .  . . . . .  . .  ."),
    ("nurse of another team",      ". . . . .  . . . . .  . .  ."),
    ("billing",                    ". . . y .  . . . . .  . .  y"),
    ("operations",                 ". . . . y  . . . . .  . .  ."),
    ("billing elsewhere",          ". . . . .  . . . . .  . .  ."),
    ("colleague",                  ". . . . .  . . . . .  . .  ."),
    ("stranger",                   ". . . . .  . . . . .  . .  ."),
    ("blocked guardian",           ". . . . .  . . . . .  . .  ."),
    ("blocked nurse",              ". . . . .  . . . . .  . .  ."),
    ("blocked billing",            ". . . . .  . . . . .  . .  ."),
    ("blocked with consents",      ". . . . .  . . . . .  . .  ."),
    ("consent substance use",      ". . . . .  . y . . .  . .  ."),
    ("consent hiv ended",          ". . . . .  . . . . .  . .  ."),
    ("consent genetic",            ". . . . .  . . . . y  . .  ."),
    ("consents of normal care",    ". . . . .  y . . y .  y y  ."),
    ("nurse of a consented team",  ". . . . .  . . y . .  . .  ."),
    ("self, who blocked herself",  "y . . . .  y y y y y  y y  y"),
];

fn now() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

fn object(object_type: &str, id: &str) -> ObjectRef {
    let id = id.replace([' ', ','], "-");
    ObjectRef::new(object_type, &"acme".parse::<TenantId>().unwrap(), &id)
}

struct Story(Tuples);

impl Story {
    fn tell(&mut self, resource: &ObjectRef, relation: &str, subject: SubjectRef, expires: Option<Timestamp>) {
        let relationship = Relationship { resource: resource.clone(), relation: relation.into(), subject, expires };
        let update = Update::Touch(relationship);
        super::validate::updates(&Schema::parse(SCHEMA).unwrap(), std::slice::from_ref(&update)).unwrap();
        self.0.apply(update, now());
    }

    fn user(&mut self, resource: &ObjectRef, relation: &str, user: &str) {
        self.user_until(resource, relation, user, None);
    }

    fn user_until(&mut self, resource: &ObjectRef, relation: &str, user: &str, expires: Option<Timestamp>) {
        self.tell(resource, relation, plain(object("user", user)), expires);
    }
}

fn plain(object: ObjectRef) -> SubjectRef {
    SubjectRef { object, relation: None }
}

fn story() -> Tuples {
    let mut story = Story(Tuples::default());
    let later = Some(now() + SignedDuration::from_secs(1));
    let ended = Some(now());
    people(&mut story, later, ended);
    care(&mut story, later, ended);
    consents(&mut story, ended);
    story.0
}

fn people(story: &mut Story, later: Option<Timestamp>, ended: Option<Timestamp>) {
    let (member, selfish) = (object("member", "m-1"), object("member", "m-2"));
    for (relation, user) in [
        ("self", "self"),
        ("guardian", "guardian"),
        ("family", "family"),
        ("guardian", "blocked guardian"),
        ("family", "blocked guardian"),
        ("blocked", "blocked guardian"),
        ("blocked", "blocked nurse"),
        ("blocked", "blocked billing"),
    ] {
        story.user(&member, relation, user);
    }
    story.user_until(&member, "guardian", "guardian until later", later);
    story.user_until(&member, "guardian", "guardian until now", ended);
    story.user(&selfish, "self", "self, who blocked herself");
    story.user(&selfish, "blocked", "self, who blocked herself");
}

fn care(story: &mut Story, later: Option<Timestamp>, ended: Option<Timestamp>) {
    let member = object("member", "m-1");
    let (clinic, elsewhere) = (object("organization", "clinic"), object("organization", "elsewhere"));
    let (team, past, other) =
        (object("care_team", "t-1"), object("care_team", "t-past"), object("care_team", "t-other"));
    story.tell(&member, "organization", plain(clinic.clone()), None);
    story.tell(&member, "care_team", plain(team.clone()), later);
    story.tell(&member, "care_team", plain(past.clone()), ended);
    story.user(&team, "lead", "lead");
    story.user(&team, "member", "nurse");
    story.user(&team, "member", "blocked nurse");
    story.user_until(&team, "member", "covering until later", later);
    story.user_until(&team, "member", "covering until now", ended);
    story.user(&past, "member", "nurse of an ended referral");
    story.user(&other, "lead", "nurse of another team");
    story.user(&clinic, "billing", "billing");
    story.user(&clinic, "billing", "blocked billing");
    story.user(&clinic, "operations", "operations");
    story.user(&clinic, "member", "colleague");
    story.user(&elsewhere, "billing", "billing elsewhere");
}

fn consents(story: &mut Story, ended: Option<Timestamp>) {
    let member = object("member", "m-1");
    story.user(&member, "consent_substance_use", "consent substance use");
    story.user_until(&member, "consent_hiv", "consent hiv ended", ended);
    story.user(&member, "consent_genetic", "consent genetic");
    story.user(&member, "consent_behavioral_health", "consents of normal care");
    story.user(&member, "consent_reproductive", "consents of normal care");
    let team = object("care_team", "t-consented");
    story.user(&team, "member", "nurse of a consented team");
    story.tell(&member, "consent_hiv", SubjectRef { object: team, relation: Some("treats".into()) }, None);
    for class in ["behavioral_health", "substance_use", "hiv", "reproductive", "genetic"] {
        story.user(&member, &format!("consent_{class}"), "blocked with consents");
    }
    story.user(&member, "blocked", "blocked with consents");
}

#[test]
fn each_role_has_just_its_permissions() {
    let (schema, tuples) = (Schema::parse(SCHEMA).unwrap(), story());
    for (role, expected) in MATRIX {
        let member = if role == "self, who blocked herself" { "m-2" } else { "m-1" };
        let cells: Vec<&str> = expected.split_whitespace().collect();
        assert_eq!(cells.len(), PERMISSIONS.len(), "{role}");
        for (permission, cell) in PERMISSIONS.into_iter().zip(cells) {
            let (resource, subject) = (object("member", member), object("user", role));
            let question = Check { resource, permission: permission.into(), subject };
            let allowed = check(&schema, &tuples, now(), &question).unwrap().allowed;
            assert_eq!(allowed, cell == "y", "{role}: {permission}");
        }
    }
}

/// Who may do what in a tenant as a whole: security staff, and nobody by what they are to members.
#[test]
fn security_staff_may_end_sessions_and_nothing_else() {
    let (schema, mut story) = (Schema::parse(SCHEMA).unwrap(), Story(story()));
    let tenant = object("tenant", "acme");
    story.user(&tenant, "security", "security");
    let allowed = |resource: &ObjectRef, permission: &str, user: &str| {
        let question =
            Check { resource: resource.clone(), permission: permission.into(), subject: object("user", user) };
        check(&schema, &story.0, now(), &question).unwrap().allowed
    };
    assert!(allowed(&tenant, "revoke_tokens", "security"));
    assert!(MATRIX.iter().all(|(role, _)| !allowed(&tenant, "revoke_tokens", role)));
    assert!(PERMISSIONS.into_iter().all(|permission| !allowed(&object("member", "m-1"), permission, "security")));
    assert!(!allowed(&object("tenant", "other"), "revoke_tokens", "security"));
}

#[test]
fn the_matrix_has_every_permission_that_sluice_asks_about() {
    for name in required_permissions() {
        assert!(PERMISSIONS.contains(&name), "{name}");
    }
}
