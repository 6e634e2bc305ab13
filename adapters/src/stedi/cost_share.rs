//! What the member pays: co-payments, co-insurances, deductibles, out-of-pocket maximums.

use serde_json::Value;
use sluice_schema::proto::eligibility::{CostShare, CoverageLevel, Network};

use super::{
    decimal::{decimal, percent},
    json::Json,
};

/// EB06: what is left of the period's amount.
const REMAINING: &str = "29";
/// EB06: calendar year, service year, contract; the first that there is is what something remains of.
const PERIODS: [&str; 3] = ["23", "22", "25"];

/// The cost shares of one EB01 code, one for each service type. What remains is told by a row of its own; it is put beside
/// the amount of the same service type, level and network, and stands alone where there is no such row.
pub(super) fn read(rows: &[&Value], code: &str) -> Vec<CostShare> {
    let of_code = rows.iter().filter(|row| row.text("code").as_deref() == Some(code));
    let all: Vec<_> = of_code.flat_map(|row| shares(row)).collect();
    let (left, mut shares): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|share| share.time_qualifier_code.as_deref() == Some(REMAINING));
    for share in left {
        match whole_of(&share, &shares) {
            Some(at) => shares[at].remaining = share.amount,
            None => shares.push(CostShare { remaining: share.amount, amount: None, ..share }),
        }
    }
    shares
}

/// Where the amount is of which `left` remains: the calendar year's if there are several.
fn whole_of(left: &CostShare, shares: &[CostShare]) -> Option<usize> {
    let same = |share: &CostShare| {
        share.service_type_code == left.service_type_code
            && share.coverage_level == left.coverage_level
            && share.network == left.network
            && share.remaining.is_none()
            && share.amount.is_some()
    };
    let rank = |share: &CostShare| {
        let period = share.time_qualifier_code.as_deref();
        PERIODS.iter().position(|known| Some(*known) == period).unwrap_or(PERIODS.len())
    };
    let candidates = shares.iter().enumerate().filter(|(_, share)| same(share));
    candidates.min_by_key(|(_, share)| rank(share)).map(|(at, _)| at)
}

fn shares(row: &Value) -> Vec<CostShare> {
    let share = CostShare {
        service_type_code: None,
        coverage_level: level(row),
        network: network(row),
        amount: row.text("benefitAmount").and_then(decimal),
        remaining: None,
        percent: row.text("benefitPercent").and_then(percent),
        time_qualifier_code: row.text("timeQualifierCode"),
    };
    for_each_service_type(row, |code| CostShare { service_type_code: code, ..share.clone() })
}

/// One of `make` for each of the row's service types, one without where it names none.
pub(super) fn for_each_service_type<T>(row: &Value, make: impl Fn(Option<String>) -> T) -> Vec<T> {
    let codes = row.texts("serviceTypeCodes");
    if codes.is_empty() { vec![make(None)] } else { codes.into_iter().map(Some).map(make).collect() }
}

/// EB02.
pub(super) fn level(row: &Value) -> Option<i32> {
    let level = match row.text("coverageLevelCode")?.as_str() {
        "IND" => CoverageLevel::Individual,
        "FAM" => CoverageLevel::Family,
        "EMP" => CoverageLevel::EmployeeOnly,
        "ESP" => CoverageLevel::EmployeeAndSpouse,
        "ECH" => CoverageLevel::EmployeeAndChildren,
        _ => CoverageLevel::Other,
    };
    Some(level.into())
}

/// EB12; `U` (unknown) and what is off the list say nothing.
pub(super) fn network(row: &Value) -> Option<i32> {
    let network = match row.text("inPlanNetworkIndicatorCode")?.as_str() {
        "Y" => Network::In,
        "N" => Network::Out,
        "W" => Network::Both,
        _ => return None,
    };
    Some(network.into())
}
