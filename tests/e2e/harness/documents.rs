//! The operations and inputs that most tests use.

use serde_json::{Value, json};

use super::MEMBER;

/// What is asked of a check, where nothing else is said.
pub(crate) const CHECK: &str = "query($id: ID!) { eligibilityCheck(id: $id) { id state coverage { planName } } }";

/// The member's checks, live.
pub(crate) const WATCH: &str = "subscription($member: ID!, $after: Cursor) {
    memberEligibility(memberId: $member, after: $after) { id state coverage { planName } }
}";

/// The card whose answer holds something of everything.
pub(crate) const RICH: (&str, &str) = ("60054", "AETNA12345");

/// An input that is right, of an invented person.
pub(crate) fn question((payer, card): (&str, &str)) -> Value {
    json!({
        "memberId": MEMBER,
        "payerId": payer,
        "provider": { "npi": "1999999984", "organizationName": "Quillfeather Clinic" },
        "subscriber": {
            "memberId": card, "firstName": "Wilhelmina", "lastName": "Oakenshaw", "dateOfBirth": "1987-03-09",
        },
        "serviceTypeCodes": ["30"],
        "dateOfService": "2026-05-04",
    })
}
