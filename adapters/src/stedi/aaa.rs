//! Request validations (AAA): at the top, and at the party that the payer found fault with.

use serde_json::Value;
use sluice_schema::proto::eligibility::Rejection;

use super::json::Json;

/// All of them, each once: Stedi repeats those of a party in the list at the top.
pub(super) fn read(response: &Value) -> Vec<Rejection> {
    let parties = ["payer", "provider", "subscriber", "dependents"].into_iter().flat_map(|key| response.items(key));
    let of_parties = parties.flat_map(|party| party.items("aaaErrors"));
    let mut rejections = Vec::new();
    for rejection in response.items("errors").into_iter().chain(of_parties).filter_map(rejection) {
        if !rejections.contains(&rejection) {
            rejections.push(rejection);
        }
    }
    rejections
}

fn rejection(error: &Value) -> Option<Rejection> {
    let rejection = Rejection {
        code: error.text("code"),
        description: error.text("description"),
        follow_up_action: error.text("followupAction"),
        location: error.text("location"),
    };
    (rejection.code.is_some() || rejection.description.is_some()).then_some(rejection)
}

/// 42: unable to respond at current time; 80: no response received. Either may stand beside a 79.
pub(super) fn is_transient(rejection: &Rejection) -> bool {
    matches!(rejection.code.as_deref(), Some("42" | "80"))
}
