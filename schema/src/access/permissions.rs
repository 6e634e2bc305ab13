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

const PATIENT_REQUEST: [Permission; 7] = [
    audience("see_as_member", Visibility::Member),
    audience("see_as_family", Visibility::Family),
    BEHAVIORAL_HEALTH,
    SUBSTANCE_USE,
    HIV,
    REPRODUCTIVE,
    GENETIC,
];

const TREATMENT: [Permission; 6] = [
    audience("see_as_care_team_for_treatment", Visibility::CareTeam),
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

const OPERATIONS: [Permission; 6] = [
    audience("see_as_staff_for_operations", Visibility::Staff),
    BEHAVIORAL_HEALTH,
    SUBSTANCE_USE,
    HIV,
    REPRODUCTIVE,
    GENETIC,
];
