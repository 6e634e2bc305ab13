//! Who may do what under `sluice.zed`: written by hand from the access rules, and held against whatever answers checks.

mod documents;
mod shown;
mod story;

use sluice_schema::ids::TenantId;

pub use self::shown::each_role_is_shown_just_what_the_documents_say;
use super::{Check, Consistency, Relationships};

/// On a `member`, in the order of the columns of [`MEMBER`].
const PERMISSIONS: [&str; 21] = [
    "see_as_member",
    "see_coverage_as_family",
    "see_care_as_family",
    "see_as_care_team_for_treatment",
    "see_in_emergency_for_treatment",
    "see_as_staff_for_payment",
    "see_as_staff_for_operations",
    "see_as_privacy_officer_for_operations",
    "see_behavioral_health",
    "see_substance_use",
    "see_hiv",
    "see_reproductive",
    "see_genetic",
    "see_behavioral_health_for_treatment",
    "see_reproductive_for_treatment",
    "request_eligibility_check",
    "share",
    "manage_access",
    "break_glass",
    "represents",
    "treats",
];

/// A row for each role, a column for each of [`PERMISSIONS`]: y for yes.
#[rustfmt::skip]
const MEMBER: [(&str, &str); 42] = [
    //                                      audiences          classes    treat  acts     helpers
    //                                      M F C T E P O V    B S H R G  B R    Q S A X  r t
    ("self",                               "y . . . . . . .    y y y y y  y y    y y . .  y ."),
    ("representative",                     "y . . . . . . .    y y y y y  y y    y y . .  y ."),
    ("representative until now",           ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("guardian of an adolescent",          ". y y . . . . .    . . . . .  . .    y . . .  . ."),
    ("guardian of a child",                ". y y . . . . .    y y y y y  y y    y y . .  y ."),
    ("guardian, confidential since now",   ". y y . . . . .    . . . . .  . .    y . . .  . ."),
    ("guardian until later",               ". y y . . . . .    . . . . .  . .    y . . .  . ."),
    ("guardian until now",                 ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("family",                             ". y y . . . . .    . . . . .  . .    . . . .  . ."),
    ("family for coverage",                ". y . . . . . .    . . . . .  . .    . . . .  . ."),
    ("family for care",                    ". . y . . . . .    . . . . .  . .    . . . .  . ."),
    ("family for care until now",          ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("lead",                               ". . . y . . . .    . . . . .  y y    y . . .  . y"),
    ("nurse",                              ". . . y . . . .    . . . . .  y y    y . . .  . y"),
    ("nurse until now",                    ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("covering until later",               ". . . y . . . .    . . . . .  y y    y . . .  . y"),
    ("covering until now",                 ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("nurse of an ended referral",         ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("nurse of another team",              ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("at the visit",                       ". . . y . . . .    . . . . .  y y    y . . .  . y"),
    ("at the visit until now",             ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("at a visit that is over",            ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("broke the glass",                    ". . . . y . . .    . . . . .  . .    . . . .  . ."),
    ("broke the glass an hour ago",        ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("billing",                            ". . . . . y . .    . . . . .  . .    y . . .  . ."),
    ("operations",                         ". . . . . . y .    . . . . .  . .    . . . .  . ."),
    ("privacy officer",                    ". . . . . . . y    . . . . .  . .    . . . .  . ."),
    ("access manager",                     ". . . . . . . .    . . . . .  . .    . . y .  . ."),
    ("clinician",                          ". . . . . . . .    . . . . .  . .    . . . y  . ."),
    ("billing elsewhere",                  ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("colleague",                          ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("stranger",                           ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("blocked, with every relation",       ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("blocked nurse",                      ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("blocked staff",                      ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("consent substance use",              ". . . . . . . .    . y . . .  . .    . . . .  . ."),
    ("consent hiv until now",              ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("consent genetic until later",        ". . . . . . . .    . . . . y  . .    . . . .  . ."),
    ("consents of normal care",            ". . . . . . . .    y . . y .  y y    . . . .  . ."),
    ("nurse of a consented team",          ". . . . . . . .    . . y . .  . .    . . . .  . ."),
    ("nurse of a team consented till now", ". . . . . . . .    . . . . .  . .    . . . .  . ."),
    ("self, who blocked herself",          "y . . . . . . .    y y y y y  y y    y y . .  y ."),
];

/// What is not a member: the object, the permission, and everybody of the story who has it.
const ELSEWHERE: [(&str, &str, &str, &[&str]); 10] = [
    ("care_team", "t-1", "treats", &["lead", "nurse", "covering until later", "blocked nurse"]),
    ("care_team", "t-1", "manage_for_treatment", &["lead"]),
    ("care_team", "t-1", "manage_for_operations", &["access manager", "blocked staff"]),
    ("care_team", "t-other", "manage_for_treatment", &["nurse of another team"]),
    ("care_team", "t-other", "manage_for_operations", &[]),
    ("encounter", "e-1", "treats", &["at the visit", "blocked nurse"]),
    ("encounter", "e-past", "treats", &["at a visit that is over"]),
    (
        "task",
        "k-1",
        "see_for_treatment",
        &["lead", "nurse", "covering until later", "at the visit", "clinician", "nurse of a consented team"],
    ),
    ("task", "k-1", "complete", &["clinician", "nurse of a consented team"]),
    ("tenant", "acme", "revoke_tokens", &["security"]),
];

/// Walks all of the tables. Writes its people into a tenant of its own.
///
/// # Panics
/// Where a cell is not what was answered.
pub async fn each_role_has_just_its_permissions(relationships: &dyn Relationships, tenant: &TenantId) {
    relationships.write(story::updates(tenant)).await.expect("the people can be written");
    let cells = member_cells().chain(cells_elsewhere()).collect::<Vec<_>>();
    let check = |cell: &Cell| Check {
        resource: story::object(tenant, cell.object_type, cell.id),
        permission: cell.permission.into(),
        subject: story::object(tenant, "user", cell.role),
    };
    let checks: Vec<_> = cells.iter().map(check).collect();
    let answers = relationships.check_many(Consistency::Full, &checks).await.expect("all can be asked").allowed;
    let wrong: Vec<_> = cells.iter().zip(answers).filter(|(cell, allowed)| cell.allowed != *allowed).collect();
    assert!(wrong.is_empty(), "answered otherwise: {wrong:#?}");
}

/// Who may do something or may not.
#[derive(Debug)]
struct Cell {
    object_type: &'static str,
    id: &'static str,
    permission: &'static str,
    role: &'static str,
    allowed: bool,
}

fn member_cells() -> impl Iterator<Item = Cell> {
    MEMBER.into_iter().flat_map(|(role, row)| {
        let id = member_of(role);
        let cells: Vec<_> = row.split_whitespace().map(|cell| cell == "y").collect();
        assert_eq!(cells.len(), PERMISSIONS.len(), "{role}");
        let cells = PERMISSIONS.into_iter().zip(cells);
        cells.map(move |(permission, allowed)| Cell { object_type: "member", id, permission, role, allowed })
    })
}

/// To whom somebody of the story is what she is.
fn member_of(role: &str) -> &'static str {
    if role == "self, who blocked herself" { "m-2" } else { "m-1" }
}

fn cells_elsewhere() -> impl Iterator<Item = Cell> {
    ELSEWHERE.into_iter().flat_map(|(object_type, id, permission, allowed)| {
        let roles = MEMBER.into_iter().map(|(role, _)| role).chain(["security"]);
        roles.map(move |role| Cell { object_type, id, permission, role, allowed: allowed.contains(&role) })
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use jiff::Timestamp;

    use super::{
        super::{Embedded, NoJournal, SCHEMA, Schema, required_permissions},
        *,
    };

    #[tokio::test]
    async fn the_evaluator_answers_as_the_tables_say() {
        let embedded = Embedded::open(SCHEMA, NoJournal, Arc::new(Timestamp::now)).await.unwrap();
        each_role_has_just_its_permissions(&embedded, &"acme".parse().unwrap()).await;
    }

    #[tokio::test]
    async fn the_evaluator_shows_what_the_documents_say() {
        let embedded = Embedded::open(SCHEMA, NoJournal, Arc::new(Timestamp::now)).await.unwrap();
        each_role_is_shown_just_what_the_documents_say(Arc::new(embedded), &"acme".parse().unwrap()).await;
    }

    /// What is not seen by is in words below the table, or helps others.
    #[test]
    fn the_documents_have_every_permission_that_shows_something() {
        let documented: BTreeSet<_> = documents::permitted().into_iter().map(|one| one.permission).collect();
        let elsewhere = ["manage_access", "break_glass", "represents", "treats"];
        let expected = PERMISSIONS.into_iter().filter(|name| !elsewhere.contains(name));
        assert_eq!(documented, expected.collect());
    }

    #[test]
    fn the_tables_have_every_permission_that_there_is() {
        let schema = Schema::parse(SCHEMA).unwrap();
        let asked: BTreeSet<_> =
            member_cells().chain(cells_elsewhere()).map(|cell| (cell.object_type, cell.permission)).collect();
        assert_eq!(asked, schema.permissions().collect());
        assert!(required_permissions().all(|name| PERMISSIONS.contains(&name)));
    }
}
