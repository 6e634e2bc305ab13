//! Labels and masks: one `and` and one compare decide a field.

use crate::proto::privacy::{Sensitivity, Visibility};

/// A set of audiences, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Visibilities(u8);

/// A set of sensitivity classes, a bit each; NORMAL has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Sensitivities(u8);

impl Visibilities {
    pub const NONE: Self = Self(0);
    /// Everybody who may see the event at all.
    pub const EVENT: Self = Self(0b0011_1111);
    /// Not an audience: that somebody is one of the care team's because she broke the glass. It opens nothing by itself, and
    /// is in masks so that the audit trail tells it.
    pub const EMERGENCY: Self = Self(0b0100_0000);

    pub const fn of(visibility: Visibility) -> Self {
        match visibility {
            Visibility::Member => Self(0b0000_0001),
            Visibility::FamilyCoverage => Self(0b0000_0010),
            Visibility::CareTeam => Self(0b0000_0100),
            Visibility::Staff => Self(0b0000_1000),
            Visibility::FamilyCare => Self(0b0001_0000),
            Visibility::PrivacyOfficer => Self(0b0010_0000),
            Visibility::Event => Self::EVENT,
            // Internal and whatever a newer schema may add: nobody.
            Visibility::Internal | Visibility::Unspecified => Self::NONE,
        }
    }

    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are in both.
    pub const fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// From the bits that [`Self::bits`] gave; generated code only.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::EVENT.0)
    }

    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl Sensitivities {
    pub const NORMAL: Self = Self(0);
    /// Every class.
    pub const ALL: Self = Self(0b01_1111);
    /// Open only by a decision that was made, fully consistent, for this event and no other: the class of what is annotated
    /// `strict`. No decision that is kept has it.
    pub const STRICT: Self = Self(0b10_0000);

    pub const fn of(sensitivity: Sensitivity) -> Self {
        match sensitivity {
            Sensitivity::Normal => Self::NORMAL,
            Sensitivity::BehavioralHealth => Self(0b00_0001),
            Sensitivity::SubstanceUse => Self(0b00_0010),
            Sensitivity::Hiv => Self(0b00_0100),
            Sensitivity::Reproductive => Self(0b00_1000),
            Sensitivity::Genetic => Self(0b01_0000),
        }
    }

    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are in both.
    pub const fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// From the bits that [`Self::bits`] gave; generated code only.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    pub const fn bits(self) -> u8 {
        self.0
    }
}

/// What a field demands of who looks: one of the audiences, and every sensitivity class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    pub visibilities: Visibilities,
    pub sensitivities: Sensitivities,
}

impl Label {
    /// Nobody: what stands in for a missing annotation.
    pub const DENY: Self = Self { visibilities: Visibilities::NONE, sensitivities: Sensitivities::NORMAL };

    /// What it looks at of a mask.
    pub const fn mask(self) -> Mask {
        Mask { visibilities: self.visibilities, sensitivities: self.sensitivities }
    }

    /// The label of something computed from two sources: whoever sees it may see both.
    pub const fn both(self, other: Self) -> Self {
        Self {
            visibilities: Visibilities(self.visibilities.0 & other.visibilities.0),
            sensitivities: self.sensitivities.with(other.sensitivities),
        }
    }
}

/// What one viewer may see of one member, now: the audiences that she belongs to and the sensitivity classes open to her.
/// Viewers with equal masks see equal bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Mask {
    pub visibilities: Visibilities,
    pub sensitivities: Sensitivities,
}

impl Mask {
    /// Sees nothing.
    pub const NOTHING: Self = Self { visibilities: Visibilities::NONE, sensitivities: Sensitivities::NORMAL };

    pub const fn sees(self, label: Label) -> bool {
        let classes = label.sensitivities.0;
        self.visibilities.0 & label.visibilities.0 != 0 && self.sensitivities.0 & classes == classes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(visibility: Visibility, sensitivity: Sensitivity) -> Label {
        Label { visibilities: Visibilities::of(visibility), sensitivities: Sensitivities::of(sensitivity) }
    }

    #[test]
    fn a_field_needs_an_audience_and_every_class() {
        let nurse = Mask {
            visibilities: Visibilities::of(Visibility::CareTeam),
            sensitivities: Sensitivities::of(Sensitivity::BehavioralHealth),
        };
        assert!(nurse.sees(label(Visibility::CareTeam, Sensitivity::Normal)));
        assert!(nurse.sees(label(Visibility::CareTeam, Sensitivity::BehavioralHealth)));
        assert!(nurse.sees(label(Visibility::Event, Sensitivity::Normal)));
        assert!(!nurse.sees(label(Visibility::CareTeam, Sensitivity::SubstanceUse)));
        assert!(!nurse.sees(label(Visibility::Staff, Sensitivity::Normal)));
        assert!(!nurse.sees(label(Visibility::Internal, Sensitivity::Normal)));
        assert!(!nurse.sees(Label::DENY));
        assert!(!Mask::NOTHING.sees(label(Visibility::Event, Sensitivity::Normal)));
    }

    #[test]
    fn a_computed_field_demands_all_that_its_sources_do() {
        let computed = label(Visibility::Event, Sensitivity::Hiv).both(label(Visibility::Staff, Sensitivity::Genetic));
        let clerk = |classes| Mask { visibilities: Visibilities::of(Visibility::Staff), sensitivities: classes };
        let hiv = Sensitivities::of(Sensitivity::Hiv);
        assert!(!clerk(hiv).sees(computed));
        assert!(clerk(hiv.with(Sensitivities::of(Sensitivity::Genetic))).sees(computed));
    }
}
