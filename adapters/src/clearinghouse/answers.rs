//! Which question gets which answer. The inputs are those of Stedi's test mode; the answers are invented.

use jiff::civil::Date;
use serde_json::{Value, json};
use sluice_domain::eligibility::payer::PayerRequest;

use super::{plausible, row::Row};

/// The payers that can be asked: id and name.
pub const PAYERS: [(&str, &str); 8] = [
    ("60054", "Aetna"),
    ("87726", "UnitedHealthcare"),
    ("62308", "Cigna"),
    ("61101", "Humana"),
    ("00050", "Blue Cross Blue Shield"),
    ("94135", "Kaiser Permanente"),
    ("CMS", "Medicare"),
    ("SLUICE", "Sluice Test Health Plan"),
];

/// A body, for a question about a day.
pub(super) type Answer = fn(&PayerRequest, Date) -> Value;

pub(super) enum Scripted {
    Plain(Answer),
    /// The first `times` questions about a check are answered otherwise.
    Recovers {
        away: Answer,
        times: u32,
        then: Answer,
    },
    /// No JSON.
    Garbled,
    Never,
}

/// By payer and card number; what is in no row of docs/clearinghouse.md gets a plausible answer of its own.
pub(super) fn scripted(request: &PayerRequest) -> Scripted {
    let card_number = request.subscriber.member_id.as_deref().unwrap_or_default();
    match (request.payer.as_str(), card_number) {
        ("60054", "AETNA12345") => Scripted::Plain(rich),
        ("60054", "AETNA9wcSu") => Scripted::Plain(family),
        ("87726", "UHC202649") => Scripted::Plain(high_deductible),
        ("62308", "CIGNA731608") => Scripted::Plain(secondary),
        ("87726", "UHCINACTIVE") => Scripted::Plain(inactive),
        ("87726", "UHCAAA42") => Scripted::Plain(cannot_respond),
        ("87726", "UHCAAA72") => Scripted::Plain(invalid_card_number),
        ("87726", "UHCAAA75") => Scripted::Plain(not_found),
        ("87726", "UHCAAA79") => Scripted::Plain(invalid_participant),
        ("SLUICE", "RECOVERS") => Scripted::Recovers { away: cannot_respond, times: 2, then: rich },
        ("SLUICE", "GARBLED") => Scripted::Garbled,
        ("SLUICE", "NEVER") => Scripted::Never,
        _ => Scripted::Plain(plausible::answer),
    }
}

/// What plan it is.
pub(super) struct Plan<'a> {
    pub(super) name: &'a str,
    pub(super) number: &'a str,
    pub(super) group_name: &'a str,
    pub(super) group_number: &'a str,
}

/// A body with benefits, for the calendar year of `day`. `status` is EB01: 1 active, 6 inactive.
pub(super) fn benefits(plan: &Plan<'_>, day: Date, status: (&str, &str), rows: Vec<Row>) -> Value {
    let year = day.year();
    let mut all = vec![Value::from(Row::new(status.0, status.1).services(&["30"]).individual().plan("C1", plan.name))];
    all.extend(rows.into_iter().map(Value::from));
    json!({
        "planInformation": {
            "planNumber": plan.number,
            "planDescription": plan.name,
            "groupNumber": plan.group_number,
            "groupDescription": plan.group_name,
        },
        "planDateInformation": { "planBegin": format!("{year}0101"), "planEnd": format!("{year}1231") },
        "planStatus": [{
            "statusCode": status.0, "status": status.1, "planDetails": plan.name, "serviceTypeCodes": ["30"],
        }],
        "benefitsInformation": all,
        "errors": [],
    })
}

const ACTIVE: (&str, &str) = ("1", "Active Coverage");

/// Everything that people look for, and a row of each protected class.
fn rich(_: &PayerRequest, day: Date) -> Value {
    let plan =
        Plan { name: "Harbor PPO 1500", number: "HP-1500", group_name: "Kestrel Boatworks", group_number: "KB-0417" };
    let deductible = || Row::new("C", "Deductible").services(&["30"]);
    let most = || Row::new("G", "Out of Pocket (Stop Loss)").services(&["30"]);
    let mut rows = vec![
        Row::new("B", "Co-Payment").services(&["98"]).individual().in_network().amount(25).a_visit(),
        Row::new("B", "Co-Payment").services(&["UC"]).individual().in_network().amount(60).a_visit(),
        Row::new("A", "Co-Insurance").services(&["30"]).individual().in_network().percent(20),
        Row::new("A", "Co-Insurance").services(&["30"]).individual().out_of_network().percent(40),
        deductible().individual().in_network().amount(1500).a_year(),
        deductible().individual().in_network().amount(620).remaining(),
        deductible().family().in_network().amount(3000).a_year(),
        deductible().family().in_network().amount(2120).remaining(),
        deductible().individual().out_of_network().amount(4000).a_year(),
        deductible().individual().out_of_network().amount(4000).remaining(),
        most().individual().in_network().amount(5000).a_year(),
        most().individual().in_network().amount(4120).remaining(),
        most().individual().out_of_network().amount(10000).a_year(),
        Row::new("F", "Limitations").services(&["33"]).in_network().visits(20).a_year().saying("20 visits a year."),
        Row::new("I", "Non-Covered").services(&["AR"]).saying("Experimental drugs are not covered."),
        Row::new("R", "Other or Additional Payor").services(&["30"]).plan("C1", "").other_payer("Larkspur Mutual"),
    ];
    rows.extend(protected_rows());
    benefits(&plan, day, ACTIVE, rows)
}

/// A row of each protected class.
pub(super) fn protected_rows() -> Vec<Row> {
    vec![
        Row::new("B", "Co-Payment").services(&["MH"]).individual().in_network().amount(15).a_visit(),
        Row::new("F", "Limitations").services(&["A6"]).in_network().visits(30).a_year().saying("30 sessions a year."),
        Row::new("A", "Co-Insurance").services(&["AI"]).individual().in_network().percent(10),
        Row::new("1", "Active Coverage").services(&["69"]).individual().in_network(),
    ]
}

fn family(_: &PayerRequest, day: Date) -> Value {
    let plan =
        Plan { name: "Meadow HMO 20", number: "MH-20", group_name: "Tidewater Schools", group_number: "TS-1180" };
    let rows = vec![
        Row::new("B", "Co-Payment").services(&["98", "A0"]).family().in_network().amount(20).a_visit(),
        Row::new("B", "Co-Payment").services(&["86"]).family().in_network().amount(150).a_visit(),
        Row::new("G", "Out of Pocket (Stop Loss)").services(&["30"]).family().in_network().amount(6000).a_year(),
        Row::new("G", "Out of Pocket (Stop Loss)").services(&["30"]).family().in_network().amount(5340).remaining(),
        Row::new("I", "Non-Covered").services(&["30"]).out_of_network().saying("Only in network, but for emergencies."),
    ];
    benefits(&plan, day, ACTIVE, rows)
}

fn high_deductible(_: &PayerRequest, day: Date) -> Value {
    let plan =
        Plan { name: "Granite HSA 3200", number: "GH-3200", group_name: "Alder & Finch", group_number: "AF-0093" };
    let rows = vec![
        Row::new("A", "Co-Insurance").services(&["30"]).individual().in_network().percent(0),
        Row::new("C", "Deductible").services(&["30"]).individual().in_network().amount(3200).a_year(),
        Row::new("C", "Deductible").services(&["30"]).individual().in_network().amount(3200).remaining(),
    ];
    benefits(&plan, day, ACTIVE, rows)
}

/// Another payer comes first.
fn secondary(_: &PayerRequest, day: Date) -> Value {
    let plan = Plan { name: "Orchard POS", number: "OP-77", group_name: "Northlight Theatre", group_number: "NT-2206" };
    let rows = vec![
        Row::new("R", "Other or Additional Payor").services(&["30"]).plan("MB", "").other_payer("Medicare Part B"),
        Row::new("B", "Co-Payment").services(&["98"]).individual().in_network().amount(35).a_visit(),
        Row::new("F", "Limitations").services(&["PT"]).in_network().visits(12).a_year(),
    ];
    benefits(&plan, day, ACTIVE, rows)
}

fn inactive(_: &PayerRequest, day: Date) -> Value {
    let plan =
        Plan { name: "Granite HSA 3200", number: "GH-3200", group_name: "Alder & Finch", group_number: "AF-0093" };
    benefits(&plan, day.saturating_sub(jiff::ToSpan::year(1)), ("6", "Inactive"), Vec::new())
}

fn cannot_respond(_: &PayerRequest, _: Date) -> Value {
    refusal("payer", "42", "Unable to Respond at Current Time", "Please Resubmit Original Transaction", "Loop 2100A")
}

fn invalid_card_number(_: &PayerRequest, _: Date) -> Value {
    refusal("subscriber", "72", "Invalid/Missing Subscriber/Insured ID", "Please Correct and Resubmit", "Loop 2100C")
}

fn not_found(_: &PayerRequest, _: Date) -> Value {
    refusal("subscriber", "75", "Subscriber/Insured Not Found", "Please Correct and Resubmit", "Loop 2100C")
}

fn invalid_participant(_: &PayerRequest, _: Date) -> Value {
    refusal("payer", "79", "Invalid Participant Identification", "Please Correct and Resubmit", "Loop 2100A")
}

/// An AAA, at the party and, as Stedi does, once more at the top.
fn refusal(party: &str, code: &str, description: &str, follow_up: &str, location: &str) -> Value {
    let error = json!({
        "field": "AAA", "code": code, "description": description, "followupAction": follow_up, "location": location,
        "possibleResolutions": "Compare with the insurance card.",
    });
    let mut body = json!({ "benefitsInformation": [], "planStatus": [], "errors": [error] });
    body[party] = json!({ "aaaErrors": [error] });
    body
}
