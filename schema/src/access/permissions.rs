//! The permissions of `authz/sluice.zed` that open audiences and sensitivity classes, by purpose of use. What each role is shown
//! by them is written by hand in docs/access.md, and held against it.

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
    /// Whoever has one of these audiences sees all that this permission opens: she need not be asked about it. None: everybody
    /// is.
    unless: Visibilities,
}

impl Permission {
    /// What it opens, as a mask.
    pub const fn opens(&self) -> Mask {
        Mask { visibilities: self.visibilities, sensitivities: self.sensitivities }
    }

    /// When it is asked about.
    const fn round(&self) -> Round {
        if self.unless.is_empty() { Round::First } else { Round::Second }
    }

    /// Whether what spares it is demanded as well, where anything does.
    pub fn is_spared_within(&self, demand: Mask) -> bool {
        self.unless.within(demand.visibilities) == self.unless
    }

    fn is_needed(&self, granted: Mask) -> bool {
        self.unless.within(granted.visibilities).is_empty()
    }
}

/// What has to be known to decide is asked about together; what depends on the answers, behind them. Most viewers are members
/// who look at their own, and are answered in the first round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    First,
    Second,
}

impl Round {
    pub const ALL: [Self; 2] = [Self::First, Self::Second];
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

/// Who may say who is on a `care_team`, by the purpose that she comes for.
pub const MANAGE: [(PurposeOfUse, &str); 2] =
    [(PurposeOfUse::Treatment, "manage_for_treatment"), (PurposeOfUse::Operations, "manage_for_operations")];

/// Who is on a `care_team`, and so treats its members.
pub const TREATS: &str = "treats";

/// Every permission on a `care_team` that Sluice asks about.
pub const ON_CARE_TEAM: [&str; 3] = [MANAGE[0].1, MANAGE[1].1, TREATS];

/// Who may end sessions of a tenant.
pub const REVOKE_TOKENS: &str = "revoke_tokens";

/// Every permission on a `tenant` that Sluice asks about.
pub const ON_TENANT: [&str; 1] = [REVOKE_TOKENS];

/// What to check in a round to learn the mask of a viewer who comes for this purpose, as far as an answer depends on it;
/// `granted` is what she may see by the round before. The same for all of one purpose who may see nothing of a member, and so
/// for a member that does not exist: the count tells nothing.
pub fn permissions_for(
    purpose: PurposeOfUse,
    demand: Mask,
    round: Round,
    granted: Mask,
) -> impl Iterator<Item = &'static Permission> {
    permissions(purpose).iter().filter(move |permission| {
        permission.opens().within(demand) != Mask::NOTHING
            && permission.round() == round
            && permission.is_needed(granted)
    })
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
    let visibilities = Visibilities::of(visibility);
    Permission { name, visibilities, sensitivities: Sensitivities::NORMAL, unless: Visibilities::NONE }
}

/// What families see, the member does, and who stands in her place.
const fn family(name: &'static str, visibility: Visibility) -> Permission {
    Permission { unless: Visibilities::of(Visibility::Member), ..audience(name, visibility) }
}

const fn class(name: &'static str, sensitivity: Sensitivity) -> Permission {
    let sensitivities = Sensitivities::of(sensitivity);
    Permission { name, visibilities: Visibilities::NONE, sensitivities, unless: Visibilities::NONE }
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
    unless: Visibilities::NONE,
};

const PATIENT_REQUEST: [Permission; 8] = [
    audience("see_as_member", Visibility::Member),
    family("see_coverage_as_family", Visibility::FamilyCoverage),
    family("see_care_as_family", Visibility::FamilyCare),
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

#[cfg(test)]
mod tests {
    use super::{super::MESSAGES, *};

    #[test]
    fn who_is_not_asked_about_a_permission_sees_all_that_it_opens() {
        let labels = || {
            let fields = MESSAGES.iter().flat_map(|table| table.fields).map(|field| field.label);
            MESSAGES.iter().map(|table| table.label).chain(fields)
        };
        use PurposeOfUse::{Operations, PatientRequest, Payment, Treatment};
        let mut spared = 0;
        for permission in [PatientRequest, Treatment, Payment, Operations].into_iter().flat_map(permissions) {
            let bits = (0..8).map(|bit| Visibilities::from_bits(1 << bit));
            for audience in bits.map(|bit| bit.within(permission.unless)).filter(|audience| !audience.is_empty()) {
                assert_eq!(
                    permission.sensitivities,
                    Sensitivities::NORMAL,
                    "{}: a class is another matter",
                    permission.name
                );
                let opened = labels().filter(|label| !label.visibilities.within(permission.visibilities).is_empty());
                for label in opened {
                    spared += 1;
                    assert!(!label.visibilities.within(audience).is_empty(), "{} opens {label:?}", permission.name);
                }
            }
        }
        assert!(spared > 10, "{spared}");
    }

    #[test]
    fn whoever_is_denied_is_asked_about_everything() {
        use PurposeOfUse::{Operations, PatientRequest, Payment, Treatment};
        for purpose in [PatientRequest, Treatment, Payment, Operations] {
            let rounds =
                Round::ALL.map(|round| permissions_for(purpose, Mask::EVERYTHING, round, Mask::NOTHING).count());
            assert_eq!(rounds.into_iter().sum::<usize>(), permissions(purpose).len());
        }
    }
}
