//! Answers to questions that are in no table: active, plausible, and the same for the same question.

use jiff::civil::Date;
use serde_json::Value;
use sluice_domain::eligibility::{payer::PayerRequest, service_types::sensitive};

use super::{
    answers::{Plan, benefits, protected_rows},
    row::Row,
};

const PLANS: [(&str, &str); 5] = [
    ("Harbor PPO 1000", "HP-1000"),
    ("Meadow HMO 30", "MH-30"),
    ("Granite HSA 2800", "GH-2800"),
    ("Orchard POS Plus", "OP-80"),
    ("Lantern EPO", "LE-12"),
];
const GROUPS: [(&str, &str); 4] = [
    ("Kestrel Boatworks", "KB-0417"),
    ("Tidewater Schools", "TS-1180"),
    ("Northlight Theatre", "NT-2206"),
    ("Copperfield Bakeries", "CB-0305"),
];

pub(super) fn answer(request: &PayerRequest, day: Date) -> Value {
    let mut dice = fastrand::Rng::with_seed(hash(request));
    let ((name, number), (group_name, group_number)) =
        (PLANS[dice.usize(..PLANS.len())], GROUPS[dice.usize(..GROUPS.len())]);
    let plan = Plan { name, number, group_name, group_number };
    let mut rows = shares(&mut dice);
    for code in &request.service_type_codes {
        rows.extend(asked_about(code, &mut dice));
    }
    if dice.u8(..4) == 0 {
        rows.extend(protected_rows());
    }
    benefits(&plan, day, ("1", "Active Coverage"), rows)
}

/// Visit, co-insurance, deductible and out-of-pocket maximum, in and out of network.
fn shares(dice: &mut fastrand::Rng) -> Vec<Row> {
    let visit = 5 * dice.u64(2..10);
    let (percent, deductible) = (10 * dice.u64(1..4), 250 * dice.u64(2..13));
    let most = 2 * deductible + 500 * dice.u64(2..9);
    let spent = dice.u64(0..=deductible);
    let yearly = |code, name| Row::new(code, name).services(&["30"]).individual();
    vec![
        Row::new("B", "Co-Payment").services(&["98"]).individual().in_network().amount(visit).a_visit(),
        Row::new("A", "Co-Insurance").services(&["30"]).individual().in_network().percent(percent),
        Row::new("A", "Co-Insurance").services(&["30"]).individual().out_of_network().percent(percent + 20),
        yearly("C", "Deductible").in_network().amount(deductible).a_year(),
        yearly("C", "Deductible").in_network().amount(deductible - spent).remaining(),
        yearly("C", "Deductible").out_of_network().amount(2 * deductible).a_year(),
        yearly("G", "Out of Pocket (Stop Loss)").in_network().amount(most).a_year(),
        yearly("G", "Out of Pocket (Stop Loss)").in_network().amount(most - spent).remaining(),
    ]
}

/// What the plan says of one service type; 30 is answered by the rest.
fn asked_about(code: &str, dice: &mut fastrand::Rng) -> Vec<Row> {
    if code == "30" {
        return Vec::new();
    }
    let copay = 5 * dice.u64(2..15);
    let mut rows = vec![
        Row::new("1", "Active Coverage").services(&[code]).individual(),
        Row::new("B", "Co-Payment").services(&[code]).individual().in_network().amount(copay).a_visit(),
    ];
    if sensitive(code).is_none() && dice.bool() {
        rows.push(Row::new("F", "Limitations").services(&[code]).in_network().visits(dice.u64(5..40)).a_year());
    }
    rows
}

/// FNV-1a over what the payer is told: the same on every machine and in every version.
fn hash(request: &PayerRequest) -> u64 {
    let subscriber = &request.subscriber;
    let of_subscriber =
        [&subscriber.member_id, &subscriber.first_name, &subscriber.last_name, &subscriber.date_of_birth];
    let texts = of_subscriber.into_iter().map(|text| text.as_deref().unwrap_or_default());
    let bytes = std::iter::once(request.payer.as_str())
        .chain(texts)
        .chain(request.service_type_codes.iter().map(String::as_str))
        .flat_map(|text| text.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
