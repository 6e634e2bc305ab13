//! The permissions of `authz/sluice.zed` that open audiences and sensitivity classes, by purpose of use.

use super::{Mask, Sensitivities, Visibilities};
use crate::{
    proto::privacy::{Sensitivity, Visibility},
    viewer::PurposeOfUse,
};

/// A permission on a `member` object, and what it opens to whoever holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    pub name: &'static str,
    pub visibilities: Visibilities,
    pub sensitivities: Sensitivities,
}

impl Permission {
    /// What it opens, as a mask.
    pub const fn opens(&self) -> Mask {
        Mask { visibilities: self.visibilities, sensitivities: self.sensitivities }
    }
}

/// Who may ask a payer about a member.
pub const REQUEST_ELIGIBILITY_CHECK: &str = "request_eligibility_check";

/// Who may say who is a member's family, whom she closes out, and which classes are open to whom.
pub const SHARE: &str = "share";

/// Who may write down a member's other relations.
pub const MANAGE_ACCESS: &str = "manage_access";

/// Who may open the emergency view of a member.
pub const BREAK_GLASS: &str = "break_glass";

/// Permissions on a `member` that open nothing to see.
pub const ACTS: [&str; 4] = [REQUEST_ELIGIBILITY_CHECK, SHARE, MANAGE_ACCESS, BREAK_GLASS];

/// Who may say who is on a `care_team`.
pub const MANAGE: &str = "manage";

/// Who is on a `care_team`, and so treats its members.
pub const TREATS: &str = "treats";

/// Every permission on a `care_team` that Sluice asks about.
pub const ON_CARE_TEAM: [&str; 2] = [MANAGE, TREATS];

/// Who may end sessions of a tenant.
pub const REVOKE_TOKENS: &str = "revoke_tokens";

/// Every permission on a `tenant` that Sluice asks about.
pub const ON_TENANT: [&str; 1] = [REVOKE_TOKENS];

/// What to check to learn the mask of a viewer who comes for this purpose, as far as an answer depends on it. The same
/// for everybody of one purpose, whatever the answers: the count tells nothing.
pub fn permissions_for(purpose: PurposeOfUse, demand: Mask) -> impl Iterator<Item = &'static Permission> {
    permissions(purpose).iter().filter(move |permission| permission.opens().within(demand) != Mask::NOTHING)
}

/// All permissions of a purpose.
pub fn permissions(purpose: PurposeOfUse) -> &'static [Permission] {
    match purpose {
        PurposeOfUse::PatientRequest => &PATIENT_REQUEST,
        PurposeOfUse::Treatment => &TREATMENT,
        PurposeOfUse::Payment => &PAYMENT,
        PurposeOfUse::Operations => &OPERATIONS,
    }
}

const fn audience(name: &'static str, visibility: Visibility) -> Permission {
    Permission { name, visibilities: Visibilities::of(visibility), sensitivities: Sensitivities::NORMAL }
}

const fn class(name: &'static str, sensitivity: Sensitivity) -> Permission {
    Permission { name, visibilities: Visibilities::NONE, sensitivities: Sensitivities::of(sensitivity) }
}

const BEHAVIORAL_HEALTH: Permission = class("see_behavioral_health", Sensitivity::BehavioralHealth);
const SUBSTANCE_USE: Permission = class("see_substance_use", Sensitivity::SubstanceUse);
const HIV: Permission = class("see_hiv", Sensitivity::Hiv);
const REPRODUCTIVE: Permission = class("see_reproductive", Sensitivity::Reproductive);
const GENETIC: Permission = class("see_genetic", Sensitivity::Genetic);

/// Whoever broke the glass sees what the care team does, and every class.
const EMERGENCY: Permission = Permission {
    name: "see_in_emergency_for_treatment",
    visibilities: Visibilities::of(Visibility::CareTeam).with(Visibilities::EMERGENCY),
    sensitivities: Sensitivities::ALL,
};

const PATIENT_REQUEST: [Permission; 8] = [
    audience("see_as_member", Visibility::Member),
    audience("see_coverage_as_family", Visibility::FamilyCoverage),
    audience("see_care_as_family", Visibility::FamilyCare),
    BEHAVIORAL_HEALTH,
    SUBSTANCE_USE,
    HIV,
    REPRODUCTIVE,
    GENETIC,
];

const TREATMENT: [Permission; 7] = [
    audience("see_as_care_team_for_treatment", Visibility::CareTeam),
    EMERGENCY,
    class("see_behavioral_health_for_treatment", Sensitivity::BehavioralHealth),
    SUBSTANCE_USE,
    HIV,
    class("see_reproductive_for_treatment", Sensitivity::Reproductive),
    GENETIC,
];

const PAYMENT: [Permission; 6] = [
    audience("see_as_staff_for_payment", Visibility::Staff),
    BEHAVIORAL_HEALTH,
    SUBSTANCE_USE,
    HIV,
    REPRODUCTIVE,
    GENETIC,
];

const OPERATIONS: [Permission; 7] = [
    audience("see_as_staff_for_operations", Visibility::Staff),
    audience("see_as_privacy_officer_for_operations", Visibility::PrivacyOfficer),
    BEHAVIORAL_HEALTH,
    SUBSTANCE_USE,
    HIV,
    REPRODUCTIVE,
    GENETIC,
];
