use proptest::prelude::*;
use serde_json::json;
use sluice_schema::proto::eligibility::{Coverage, CoverageLevel, Network, Rejection};

use super::*;

fn coverage(body: &str) -> Coverage {
    match decode(body.as_bytes()) {
        Ok(PayerAnswer::Coverage(coverage)) => *coverage,
        other => panic!("no coverage: {other:?}"),
    }
}

fn active() -> Coverage {
    coverage(include_str!("fixtures/active.json"))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn plan_group_and_dates_come_from_where_the_payer_put_them() {
    let coverage = active();
    assert_eq!(coverage.active, Some(true));
    assert_eq!(coverage.plan_name, some("Harbor PPO 1500"), "not the plan of a protected service");
    assert_eq!(coverage.plan_number, some("HP-1500"));
    assert_eq!((coverage.group_name, coverage.group_number), (some("Kestrel Boatworks"), some("KB-0417")));
    assert_eq!((coverage.coverage_begin, coverage.coverage_end), (some("2026-01-01"), some("2025-12-31")));
}

#[test]
fn a_copay_stands_for_each_of_its_service_types() {
    let copays = active().copays;
    assert_eq!(
        copays.iter().map(|copay| copay.service_type_code.clone()).collect::<Vec<_>>(),
        [some("98"), some("BZ")]
    );
    assert!(copays.iter().all(|copay| copay.amount == some("25") && copay.network() == Network::In));
    assert_eq!(copays[0].time_qualifier_code, some("27"));
}

#[test]
fn what_remains_stands_beside_the_calendar_years_amount() {
    let deductibles = active().deductibles;
    let said: Vec<_> = deductibles
        .iter()
        .map(|share| (share.amount.as_deref(), share.remaining.as_deref(), share.time_qualifier_code.as_deref()))
        .collect();
    let alone = (None, Some("3000"), Some("29"));
    assert_eq!(said, [(Some("1400"), None, Some("25")), (Some("1500"), Some("620.50"), Some("23")), alone]);
    assert_eq!((deductibles[2].coverage_level(), deductibles[2].network()), (CoverageLevel::Family, Network::Out));
}

#[test]
fn percent_levels_and_networks_are_read_leniently() {
    let coverage = active();
    let coinsurance = &coverage.coinsurances[0];
    assert_eq!(coinsurance.percent, some("20"));
    assert_eq!((coinsurance.coverage_level(), coinsurance.network()), (CoverageLevel::Other, Network::Both));
    let most = &coverage.out_of_pockets[0];
    assert_eq!((&most.amount, most.network), (&None, None), "words are no amount, U is no network");
}

#[test]
fn limitations_and_other_payers_are_told() {
    let coverage = active();
    let said: Vec<_> = coverage
        .limitations
        .iter()
        .map(|limit| (limit.service_type_code.as_deref(), limit.text.as_deref(), limit.quantity.as_deref()))
        .collect();
    assert_eq!(said, [(Some("33"), Some("20 a year."), Some("20")), (Some("AR"), Some("Non-Covered"), None)]);
    assert_eq!(coverage.other_coverages.len(), 1);
    assert_eq!(coverage.other_coverages[0].payer_name, some("Larkspur Mutual"));
    assert_eq!(coverage.other_coverages[0].insurance_type_code, some("MB"));
}

#[test]
fn rows_of_protected_services_are_in_their_own_lists_only() {
    let coverage = active();
    let codes = |benefits: &[sluice_schema::proto::eligibility::Benefit]| {
        benefits.iter().map(|benefit| benefit.service_type_codes.join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(codes(&coverage.behavioral_health_benefits), ["98 MH", "A6"]);
    assert_eq!(codes(&coverage.substance_use_benefits), ["98 AI", "AI"]);
    assert_eq!(codes(&coverage.reproductive_benefits), ["69"]);
    assert_eq!(codes(&coverage.hiv_benefits), ["85"]);
    let nothing_of_them = Coverage {
        behavioral_health_benefits: vec![],
        substance_use_benefits: vec![],
        reproductive_benefits: vec![],
        hiv_benefits: vec![],
        ..coverage.clone()
    };
    let rest = format!("{nothing_of_them:?}");
    for word in ["MH", "\"AI\"", "A6", "\"69\"", "\"85\"", "\"15\"", "\"700\"", "Sober", "withheld", "Lantern"] {
        assert!(!rest.contains(word), "{word}");
    }
    assert_eq!(coverage.benefits.len(), 12, "every other row, known or not");
    assert_eq!(coverage.benefits[1].additional_information, ["Telehealth included."]);
}

#[test]
fn a_plan_that_ended_is_inactive_whatever_else_goes_on() {
    let coverage = coverage(include_str!("fixtures/inactive.json"));
    assert_eq!(coverage.active, Some(false));
    assert_eq!((coverage.coverage_begin, coverage.coverage_end), (some("2024-01-01"), some("2024-12-31")));
}

#[test]
fn only_protected_rows_still_tell_that_the_plan_is_active() {
    let row = json!({ "code": "1", "serviceTypeCodes": ["MH"], "planCoverage": "Lantern" });
    let coverage = coverage(&json!({ "benefitsInformation": [row] }).to_string());
    assert_eq!(coverage.active, Some(true));
    assert_eq!((coverage.plan_name, coverage.benefits.len()), (None, 0));
}

#[test]
fn each_aaa_is_told_once() {
    let Ok(PayerAnswer::Rejected(rejections)) = decode(include_bytes!("fixtures/rejected.json")) else { panic!() };
    let first = Rejection {
        code: some("72"),
        description: some("Invalid/Missing Subscriber/Insured ID"),
        follow_up_action: some("Please Correct and Resubmit"),
        location: some("Loop 2100C"),
    };
    assert_eq!(rejections[0], first);
    assert_eq!(rejections.iter().map(|one| one.code.as_deref()).collect::<Vec<_>>(), [Some("72"), Some("73")]);
}

#[test]
fn some_aaa_may_pass_and_others_not() {
    let with = |codes: &[&str]| {
        let errors: Vec<_> = codes.iter().map(|code| json!({ "field": "AAA", "code": code })).collect();
        decode(json!({ "errors": errors }).to_string().as_bytes())
    };
    for passing in [&["42"][..], &["80"], &["79", "42"]] {
        let Err(PayerError::Unavailable(said)) = with(passing) else { panic!("{passing:?}") };
        assert_eq!(said.len(), passing.len());
    }
    for lasting in ["72", "75", "79", "T4", "off-list"] {
        assert!(matches!(with(&[lasting]), Ok(PayerAnswer::Rejected(_))), "{lasting}");
    }
}

#[test]
fn errors_beside_benefits_that_say_nothing_are_the_answer() {
    let body = json!({
        "benefitsInformation": [{ "code": "V", "name": "Cannot Process" }],
        "errors": [{ "code": "75" }],
    });
    assert!(matches!(decode(body.to_string().as_bytes()), Ok(PayerAnswer::Rejected(_))));
}

#[test]
fn what_is_no_answer_is_unreadable_and_repeats_nothing() {
    for body in ["", "<html>W0042</html>", "[]", "null", "{}", r#"{"message":"W0042"}"#, r#"{"errors":[{}]}"#] {
        let Err(PayerError::Unreadable(place)) = decode(body.as_bytes()) else { panic!("{body}") };
        assert!(!place.contains("W0042"));
    }
}

proptest! {
    #[test]
    fn a_value_of_any_kind_anywhere_does_no_harm(at in any::<prop::sample::Index>(), kind in 0..6_usize) {
        let mut body: Value = serde_json::from_str(include_str!("fixtures/active.json")).expect("JSON");
        let off_list = [json!(null), json!(7), json!("?"), json!([]), json!({ "x": [1] }), json!([[["x"]]])];
        let mut places = Vec::new();
        paths(&body, String::new(), &mut places);
        let place = at.get(&places);
        *body.pointer_mut(place).expect("a path of its own") = off_list[kind].clone();
        let _ = decode(body.to_string().as_bytes());
    }
}

fn paths(value: &Value, path: String, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| paths(value, format!("{path}/{key}"), all)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| paths(item, format!("{path}/{i}"), all)),
        _ => {}
    }
    all.push(path);
}
