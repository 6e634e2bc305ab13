//! What of a viewer's mask an answer depends on: only that has to be asked about, and only that tells viewers apart.

use std::collections::BTreeSet;

use super::{Label, Mask, MessageTable};

impl Mask {
    /// Sees everything that anybody may see.
    pub const EVERYTHING: Self = Self {
        visibilities: super::Visibilities::EVENT,
        sensitivities: super::Sensitivities::ALL.with(super::Sensitivities::STRICT),
    };

    /// What is in either.
    pub const fn with(self, other: Self) -> Self {
        Self {
            visibilities: self.visibilities.with(other.visibilities),
            sensitivities: self.sensitivities.with(other.sensitivities),
        }
    }

    /// What is in both. A mask and the same mask within a demand see alike whatever the demand was made for.
    pub const fn within(self, demand: Self) -> Self {
        Self {
            visibilities: self.visibilities.within(demand.visibilities),
            sensitivities: self.sensitivities.within(demand.sensitivities),
        }
    }
}

impl Mask {
    /// As a demand: besides, how somebody comes to be one of the care team's.
    const fn with_how(self) -> Self {
        let care_team = super::Visibilities::of(crate::proto::privacy::Visibility::CareTeam);
        if self.visibilities.within(care_team).is_empty() {
            self
        } else {
            Self { visibilities: self.visibilities.with(super::Visibilities::EMERGENCY), ..self }
        }
    }

    /// Whether what was decided before is of no use.
    pub const fn is_strict(self) -> bool {
        self.sensitivities.within(super::Sensitivities::STRICT).bits() != 0
    }

    /// As decided for one event and no other.
    pub const fn asked_anew(self) -> Self {
        Self { sensitivities: self.sensitivities.with(super::Sensitivities::STRICT), ..self }
    }

    /// What may be kept of it for another event.
    pub const fn lasting(self) -> Self {
        Self { sensitivities: self.sensitivities.within(super::Sensitivities::ALL), ..self }
    }
}

/// The labels that an answer depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    labels: Vec<Label>,
    mask: Mask,
}

/// Which labels of a demand are open: a bit for each. Who has the same view of it sees the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct View(u128);

impl Demand {
    /// The part of a mask that it looks at.
    pub const fn mask(&self) -> Mask {
        self.mask
    }

    pub fn view(&self, mask: Mask) -> View {
        let bits = self.labels.iter().enumerate().map(|(bit, label)| u128::from(mask.sees(*label)) << bit);
        View(bits.sum())
    }

    fn of(labels: BTreeSet<Label>) -> Self {
        // Audiences and classes make no more than 2^9 labels, of which a schema uses a few.
        assert!(labels.len() <= 128, "more labels than a view has bits");
        let mask = labels.iter().fold(Mask::NOTHING, |mask, label| mask.with(label.mask())).with_how();
        Self { labels: labels.into_iter().collect(), mask }
    }
}

impl MessageTable {
    /// What is seen of this message when the fields of these names are selected, in lowerCamelCase and at any depth, depends
    /// on this. Names that it does not have count for nothing.
    pub fn demand(&'static self, selected: &BTreeSet<&str>) -> Demand {
        self.demand_for(Some(selected))
    }

    /// The same for every field.
    pub fn demand_of_all(&'static self) -> Demand {
        self.demand_for(None)
    }

    fn demand_for(&'static self, selected: Option<&BTreeSet<&str>>) -> Demand {
        let mut labels = Labels { selected, found: [self.label].into(), above: vec![] };
        labels.add(self);
        Demand::of(labels.found)
    }
}

struct Labels<'s> {
    /// None: every field.
    selected: Option<&'s BTreeSet<&'s str>>,
    found: BTreeSet<Label>,
    /// The messages that this one is a part of: one may hold others of its kind.
    above: Vec<&'static str>,
}

impl Labels<'_> {
    fn add(&mut self, table: &'static MessageTable) {
        if self.above.contains(&table.name) {
            return;
        }
        self.above.push(table.name);
        for field in table.fields {
            if self.selected.is_some_and(|selected| !selected.contains(field.json_name)) {
                continue;
            }
            self.found.insert(field.label);
            if let Some(target) = field.paths_into {
                // Which paths stay in the list depends on all that they can lead to.
                let selected = self.selected.take();
                self.add(target);
                self.selected = selected;
            }
            if let Some(part) = field.message {
                self.add(part);
            }
        }
        self.above.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::{Sensitivities, Visibilities, table},
        proto::privacy::{Sensitivity, Visibility},
    };

    fn whole(message: &str, selected: &[&str]) -> Demand {
        let table = table(&format!("sluice.eligibility.v1.{message}")).expect("is annotated");
        table.demand(&selected.iter().copied().collect())
    }

    fn demand(message: &str, selected: &[&str]) -> Mask {
        whole(message, selected).mask()
    }

    #[test]
    fn who_sees_the_same_of_what_is_selected_has_the_same_view() {
        let of = |visibility, class| Mask {
            visibilities: Visibilities::of(visibility),
            sensitivities: Sensitivities::of(class),
        };
        let (member, staff) = (of(Visibility::Member, Sensitivity::Normal), of(Visibility::Staff, Sensitivity::Hiv));
        let plain = whole("EligibilityCheck", &["state", "coverage", "active"]);
        assert_eq!(plain.view(member), plain.view(staff), "everybody sees these");
        assert_ne!(plain.view(member), plain.view(Mask::NOTHING));
        let sensitive = whole("EligibilityCheck", &["coverage", "hivBenefits"]);
        assert_ne!(sensitive.view(member), sensitive.view(staff));
    }

    #[test]
    fn classes_that_nothing_selected_bears_are_not_asked_about() {
        let plain = demand("EligibilityCheck", &["coverage", "active", "benefits", "code"]);
        let audiences = [Visibility::Member, Visibility::FamilyCoverage, Visibility::CareTeam, Visibility::Staff];
        let audiences = audiences.map(Visibilities::of).into_iter().fold(Visibilities::EMERGENCY, Visibilities::with);
        assert_eq!(plain, Mask { visibilities: audiences, sensitivities: Sensitivities::NORMAL });
        let behavioral = Sensitivities::of(Sensitivity::BehavioralHealth);
        let selected = demand("EligibilityCheck", &["coverage", "behavioralHealthBenefits"]);
        assert_eq!(selected.sensitivities, behavioral);
        // Nobody gets at a part whose whole is not selected.
        assert_eq!(demand("EligibilityCheck", &["behavioralHealthBenefits"]).sensitivities, Sensitivities::NORMAL);
    }

    #[test]
    fn a_list_of_changed_paths_depends_on_all_that_the_paths_lead_to() {
        let all = demand("EligibilityCheckChanged", &["changed"]);
        for class in
            [Sensitivity::BehavioralHealth, Sensitivity::SubstanceUse, Sensitivity::Reproductive, Sensitivity::Hiv]
        {
            assert_eq!(all.sensitivities.with(Sensitivities::of(class)), all.sensitivities, "{class:?}");
        }
        let without = demand("EligibilityCheckChanged", &["after", "state"]);
        assert_eq!(without.sensitivities, Sensitivities::NORMAL);
    }

    #[test]
    fn a_mask_within_a_demand_sees_what_the_demand_was_made_for_and_nothing_new() {
        let staff = Mask {
            visibilities: Visibilities::of(Visibility::Staff),
            sensitivities: Sensitivities::of(Sensitivity::Hiv),
        };
        assert_eq!(staff.within(Mask::EVERYTHING), staff);
        assert_eq!(staff.within(Mask::NOTHING), Mask::NOTHING);
        let plain = demand("EligibilityCheck", &["coverage"]);
        assert_eq!(staff.within(plain), Mask { sensitivities: Sensitivities::NORMAL, ..staff });
    }
}
