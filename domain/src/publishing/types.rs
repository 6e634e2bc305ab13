//! Which types of events come from outside.

/// Packages whose events other systems publish. All others belong to an aggregate of ours, and nobody outside may forge
/// them; a new package is closed until it stands here.
const FOREIGN: &[&str] = &["sluice.coverage.v1"];

/// Whether other systems publish events of this type (a full message name).
pub fn is_foreign(type_name: &str) -> bool {
    type_name.rsplit_once('.').is_some_and(|(package, _)| FOREIGN.contains(&package))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aggregates_events_are_not_taken_from_outside() {
        assert!(is_foreign("sluice.coverage.v1.CoverageChanged"));
        for own in ["sluice.eligibility.v1.EligibilityCheckAnswered", "sluice.coverage.v1", "sluice.coverage.v1x.A", ""]
        {
            assert!(!is_foreign(own), "{own}");
        }
    }
}
