//! A 271 with benefits: what people look for first, and the list under it.

use jiff::civil::Date;
use serde_json::Value;
use sluice_domain::eligibility::service_types::Sensitive;
use sluice_schema::proto::eligibility::{Benefit, Coverage, Limitation, OtherCoverage};

use super::{
    cost_share::{self, for_each_service_type, level, network},
    decimal::{decimal, percent},
    json::Json,
    sensitive::{Rows, codes_of_class, is_sensitive},
};

pub(super) fn read(response: &Value) -> Coverage {
    let rows = Rows::of(response);
    let (plan, subscriber, dates) =
        (&response["planInformation"], &response["subscriber"], &response["planDateInformation"]);
    let shares = |code| cost_share::read(&rows.ordinary, code);
    let (coverage_begin, coverage_end) = coverage_dates(dates);
    Coverage {
        active: active(&rows, response),
        plan_name: plan.text("planDescription").or_else(|| plan_details(response)),
        plan_number: plan.text("planNumber").or_else(|| subscriber.text("planNumber")),
        group_name: plan.text("groupDescription").or_else(|| subscriber.text("groupDescription")),
        group_number: plan.text("groupNumber").or_else(|| subscriber.text("groupNumber")),
        coverage_begin,
        coverage_end,
        copays: shares("B"),
        coinsurances: shares("A"),
        deductibles: shares("C"),
        out_of_pockets: shares("G"),
        limitations: rows.ordinary.iter().flat_map(|row| limitations(row)).collect(),
        other_coverages: rows.ordinary.iter().flat_map(|row| other_coverages(row)).collect(),
        benefits: rows.ordinary.iter().map(|row| benefit(row, row.texts("serviceTypeCodes"))).collect(),
        behavioral_health_benefits: of_class(&rows, Sensitive::BehavioralHealth),
        substance_use_benefits: of_class(&rows, Sensitive::SubstanceUse),
        reproductive_benefits: of_class(&rows, Sensitive::Reproductive),
        hiv_benefits: of_class(&rows, Sensitive::Hiv),
    }
}

/// EB01 1 to 5: active, 6 to 8: not. What the payer says of the plan as a whole (service type 30, or none) comes first; a
/// row of protected services is asked last, and for this alone.
fn active(rows: &Rows<'_>, response: &Value) -> Option<bool> {
    let of_plan = |row: &&Value| {
        let codes = row.texts("serviceTypeCodes");
        codes.is_empty() || codes.iter().any(|code| code == "30")
    };
    let whole: Vec<_> = rows.ordinary.iter().copied().filter(of_plan).collect();
    let (hidden, open): (Vec<_>, Vec<_>) =
        response.items("planStatus").into_iter().partition(|status| is_sensitive(status));
    status(&whole, "code")
        .or_else(|| status(&open, "statusCode"))
        .or_else(|| status(&rows.ordinary, "code"))
        .or_else(|| status(&hidden, "statusCode"))
        .or_else(|| status(&rows.sensitive, "code"))
}

fn status(rows: &[&Value], key: &str) -> Option<bool> {
    let said = rows.iter().filter_map(|row| match row.text(key)?.as_str() {
        "1" | "2" | "3" | "4" | "5" => Some(true),
        "6" | "7" | "8" => Some(false),
        _ => None,
    });
    said.reduce(|any, active| any || active)
}

fn plan_details(response: &Value) -> Option<String> {
    let statuses = response.items("planStatus");
    statuses.into_iter().filter(|status| !is_sensitive(status)).find_map(|status| status.text("planDetails"))
}

/// First and last day, from the plan's dates or else from those of eligibility; each a day or a range of two.
fn coverage_dates(dates: &Value) -> (Option<String>, Option<String>) {
    let range = |key| dates.text(key).map(|text| days(&text)).unwrap_or_default();
    let day = |key| range(key).0;
    let (plan, eligibility) = (range("plan"), range("eligibility"));
    let begin = day("planBegin").or(plan.0).or_else(|| day("eligibilityBegin")).or(eligibility.0);
    let end = day("planEnd").or(plan.1).or_else(|| day("eligibilityEnd")).or(eligibility.1);
    (begin, end)
}

/// `20260101`, `20260101-20261231`, `2026-01-01`.
fn days(text: &str) -> (Option<String>, Option<String>) {
    let day = |text: &str| text.parse::<Date>().ok().map(|date| date.to_string());
    match text.split_once('-') {
        Some((begin, end)) if begin.len() == 8 => (day(begin), day(end)),
        _ => (day(text), None),
    }
}

/// EB01 E, F: limited; I: not covered.
fn limitations(row: &Value) -> Vec<Limitation> {
    let Some("E" | "F" | "I") = row.text("code").as_deref() else { return Vec::new() };
    let words = words(row).join(" ");
    let limitation = Limitation {
        service_type_code: None,
        network: network(row),
        text: Some(words).filter(|words| !words.is_empty()).or_else(|| row.text("name")),
        quantity: row.text("benefitQuantity").and_then(decimal),
        quantity_qualifier_code: row.text("quantityQualifierCode"),
    };
    for_each_service_type(row, |code| Limitation { service_type_code: code, ..limitation.clone() })
}

/// EB01 R: who else may owe a part.
fn other_coverages(row: &Value) -> Vec<OtherCoverage> {
    if row.text("code").as_deref() != Some("R") {
        return Vec::new();
    }
    let insurance_type_code = row.text("insuranceTypeCode");
    let mut entities = row.items("benefitsRelatedEntities");
    if entities.is_empty() {
        entities = row.items("benefitsRelatedEntity");
    }
    let names = entities.into_iter().filter_map(|entity| entity.text("entityName"));
    let mut others: Vec<_> = names
        .map(|name| OtherCoverage { payer_name: Some(name), insurance_type_code: insurance_type_code.clone() })
        .collect();
    if others.is_empty() {
        others.push(OtherCoverage { payer_name: None, insurance_type_code });
    }
    others
}

fn of_class(rows: &Rows<'_>, class: Sensitive) -> Vec<Benefit> {
    rows.sensitive.iter().filter_map(|row| Some(benefit(row, codes_of_class(row, class)?))).collect()
}

fn benefit(row: &Value, service_type_codes: Vec<String>) -> Benefit {
    Benefit {
        code: row.text("code"),
        name: row.text("name"),
        service_type_codes,
        coverage_level: level(row),
        network: network(row),
        amount: row.text("benefitAmount").and_then(decimal),
        percent: row.text("benefitPercent").and_then(percent),
        quantity: row.text("benefitQuantity").and_then(decimal),
        quantity_qualifier_code: row.text("quantityQualifierCode"),
        time_qualifier_code: row.text("timeQualifierCode"),
        insurance_type_code: row.text("insuranceTypeCode"),
        plan_coverage: row.text("planCoverage"),
        additional_information: words(row),
    }
}

/// MSG segments.
fn words(row: &Value) -> Vec<String> {
    row.items("additionalInformation").into_iter().filter_map(|item| item.text("description")).collect()
}
