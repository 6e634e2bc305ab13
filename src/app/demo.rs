//! The demo people of a fresh installation: invented, and related to one member.

use sluice_schema::{
    ids::{InvalidId, TenantId, UserId},
    viewer::PurposeOfUse,
};
use sluice_subscriptions::relationships::{
    ObjectRef, Relationship, Relationships, RelationshipsError, SubjectRef, Update,
};

use crate::cli::DemoPerson;

/// The demo member's MemberId.
pub(crate) const MEMBER: &str = "m-1001";

/// All demo people, in the order in which they are shown.
pub(crate) const PEOPLE: [DemoPerson; 9] = [
    DemoPerson::Member,
    DemoPerson::Guardian,
    DemoPerson::Nurse,
    DemoPerson::Billing,
    DemoPerson::Stranger,
    DemoPerson::Physician,
    DemoPerson::Privacy,
    DemoPerson::Registrar,
    DemoPerson::Security,
];

/// Who a demo person is to the gate.
pub(crate) struct Identity {
    pub(crate) user: UserId,
    pub(crate) tenant: TenantId,
    pub(crate) purpose: PurposeOfUse,
}

impl Identity {
    pub(crate) fn of(person: DemoPerson, tenant: &str) -> Result<Self, InvalidId> {
        let purpose = match person {
            DemoPerson::Member | DemoPerson::Guardian | DemoPerson::Stranger => PurposeOfUse::PatientRequest,
            DemoPerson::Nurse | DemoPerson::Physician => PurposeOfUse::Treatment,
            DemoPerson::Billing => PurposeOfUse::Payment,
            DemoPerson::Privacy | DemoPerson::Registrar | DemoPerson::Security => PurposeOfUse::Operations,
        };
        Ok(Self { user: format!("u-{}", person.name()).parse()?, tenant: tenant.parse()?, purpose })
    }
}

/// Relates the demo people to the member, where nobody did before: what was revoked since stays revoked.
pub(crate) async fn relate(relationships: &dyn Relationships, tenant: &str) -> Result<(), RelationshipsError> {
    let tenant: TenantId = tenant.parse().map_err(|error: InvalidId| RelationshipsError::Invalid(error.to_string()))?;
    let object = |kind: &str, id: &str| ObjectRef::new(kind, &tenant, id);
    let member = object("member", MEMBER);
    if !relationships.read(&member).await?.is_empty() {
        return Ok(());
    }
    let relate = |resource: ObjectRef, relation: &str, subject: ObjectRef| {
        let subject = SubjectRef { object: subject, relation: None };
        Update::Touch(Relationship { resource, relation: relation.into(), subject, expires: None })
    };
    let (clinic, team) = (object("organization", "clinic"), object("care_team", "t-1"));
    let whole = object("tenant", tenant.as_str());
    relationships
        .write(vec![
            relate(member.clone(), "organization", clinic.clone()),
            relate(member.clone(), "self", object("user", "u-member")),
            relate(member.clone(), "guardian", object("user", "u-guardian")),
            relate(member, "care_team", team.clone()),
            relate(team.clone(), "organization", clinic.clone()),
            relate(team, "member", object("user", "u-nurse")),
            relate(clinic.clone(), "billing", object("user", "u-billing")),
            relate(clinic.clone(), "clinician", object("user", "u-physician")),
            relate(clinic.clone(), "privacy_officer", object("user", "u-privacy")),
            relate(clinic, "access_manager", object("user", "u-registrar")),
            relate(whole, "security", object("user", "u-security")),
        ])
        .await
        .map(|_revision| ())
}
