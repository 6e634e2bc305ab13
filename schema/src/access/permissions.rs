//! The permissions of `authz/sluice.zed` that open audiences and sensitivity classes, by purpose of use.

use super::{Sensitivities, Visibilities};
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

/// Who may ask a payer about a member.
pub const REQUEST_ELIGIBILITY_CHECK: &str = "request_eligibility_check";

/// What to check, all of it, to learn the mask of a viewer who comes for this purpose. The same number for everybody of
/// one purpose, whatever the answers: the count tells nothing.
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

macro_rules! with_classes {
    ($($audience:expr),+) => {
        [
            $($audience,)+
            class("see_behavioral_health", Sensitivity::BehavioralHealth),
            class("see_substance_use", Sensitivity::SubstanceUse),
            class("see_hiv", Sensitivity::Hiv),
            class("see_reproductive", Sensitivity::Reproductive),
            class("see_genetic", Sensitivity::Genetic),
        ]
    };
}

const PATIENT_REQUEST: [Permission; 7] =
    with_classes![audience("see_as_member", Visibility::Member), audience("see_as_family", Visibility::Family)];
const TREATMENT: [Permission; 6] = with_classes![audience("see_as_care_team_for_treatment", Visibility::CareTeam)];
const PAYMENT: [Permission; 6] = with_classes![audience("see_as_staff_for_payment", Visibility::Staff)];
const OPERATIONS: [Permission; 6] = with_classes![audience("see_as_staff_for_operations", Visibility::Staff)];
