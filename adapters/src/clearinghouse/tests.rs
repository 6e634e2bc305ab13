use std::time::Duration;

use sluice_schema::proto::eligibility::{Coverage, Network, Provider, Subscriber};

use super::*;

fn question(payer: &str, card_number: &str) -> PayerRequest {
    PayerRequest {
        check: "ec-1".parse().expect("id"),
        payer: payer.parse().expect("id"),
        provider: Provider::default(),
        subscriber: Subscriber { member_id: Some(card_number.into()), ..Subscriber::default() },
        service_type_codes: vec!["30".into()],
        date_of_service: Some("2026-11-24".into()),
    }
}

async fn ask(payer: &str, card_number: &str) -> Result<PayerAnswer, PayerError> {
    SimulatedClearinghouse::new(Latency::None, 1).check(&question(payer, card_number)).await
}

async fn covered(payer: &str, card_number: &str) -> Coverage {
    match ask(payer, card_number).await {
        Ok(PayerAnswer::Coverage(coverage)) => *coverage,
        other => panic!("{payer} {card_number}: {other:?}"),
    }
}

#[tokio::test]
async fn aetna12345_has_everything_that_people_look_for() {
    let coverage = covered("60054", "AETNA12345").await;
    assert_eq!((coverage.active, coverage.plan_name.as_deref()), (Some(true), Some("Harbor PPO 1500")));
    assert_eq!(coverage.group_name.as_deref(), Some("Kestrel Boatworks"));
    assert_eq!(
        (coverage.coverage_begin.as_deref(), coverage.coverage_end.as_deref()),
        (Some("2026-01-01"), Some("2026-12-31"))
    );
    let amounts = |shares: &[sluice_schema::proto::eligibility::CostShare]| {
        shares.iter().map(|share| (share.network(), share.amount.clone(), share.remaining.clone())).collect::<Vec<_>>()
    };
    let said =
        |network, amount: &str, remaining: Option<&str>| (network, Some(amount.into()), remaining.map(Into::into));
    assert_eq!(amounts(&coverage.copays), [said(Network::In, "25", None), said(Network::In, "60", None)]);
    let deductibles = [
        said(Network::In, "1500", Some("620")),
        said(Network::In, "3000", Some("2120")),
        said(Network::Out, "4000", Some("4000")),
    ];
    assert_eq!(amounts(&coverage.deductibles), deductibles);
    assert_eq!(
        amounts(&coverage.out_of_pockets),
        [said(Network::In, "5000", Some("4120")), said(Network::Out, "10000", None)]
    );
    let percents: Vec<_> = coverage.coinsurances.iter().map(|share| share.percent.as_deref()).collect();
    assert_eq!(percents, [Some("20"), Some("40")]);
    assert_eq!((coverage.limitations.len(), coverage.other_coverages.len()), (2, 1));
    let sensitive = [
        coverage.behavioral_health_benefits.len(),
        coverage.substance_use_benefits.len(),
        coverage.reproductive_benefits.len(),
    ];
    assert_eq!(sensitive, [2, 1, 1]);
}

#[tokio::test]
async fn the_other_covered_ones_have_what_their_row_says() {
    assert_eq!(covered("60054", "AETNA9wcSu").await.plan_name.as_deref(), Some("Meadow HMO 20"));
    assert_eq!(covered("87726", "UHC202649").await.deductibles[0].remaining.as_deref(), Some("3200"));
    assert_eq!(covered("62308", "CIGNA731608").await.other_coverages[0].payer_name.as_deref(), Some("Medicare Part B"));
    let inactive = covered("87726", "UHCINACTIVE").await;
    assert_eq!((inactive.active, inactive.coverage_end.as_deref()), (Some(false), Some("2025-12-31")));
}

#[tokio::test]
async fn refusals_carry_their_code() {
    for (card_number, code) in [("UHCAAA72", "72"), ("UHCAAA75", "75"), ("UHCAAA79", "79")] {
        let Ok(PayerAnswer::Rejected(said)) = ask("87726", card_number).await else { panic!("{card_number}") };
        assert_eq!(said.iter().map(|one| one.code.as_deref()).collect::<Vec<_>>(), [Some(code)]);
        assert!(said[0].follow_up_action.is_some() && said[0].location.is_some());
    }
    let Err(PayerError::Unavailable(said)) = ask("87726", "UHCAAA42").await else { panic!() };
    assert_eq!(said[0].code.as_deref(), Some("42"));
    assert!(matches!(ask("SLUICE", "GARBLED").await, Err(PayerError::Unreadable(_))));
}

#[tokio::test]
async fn a_payer_recovers_for_each_check_alone() {
    let clearinghouse = SimulatedClearinghouse::new(Latency::None, 1);
    let mut question = question("SLUICE", "RECOVERS");
    for check in ["ec-1", "ec-2"] {
        question.check = check.parse().expect("id");
        let mut answers = Vec::new();
        for _ in 0..3 {
            answers.push(clearinghouse.check(&question).await.is_ok());
        }
        assert_eq!(answers, [false, false, true]);
    }
}

#[tokio::test(start_paused = true)]
async fn never_is_never() {
    let week = Duration::from_secs(7 * 24 * 3600);
    assert!(tokio::time::timeout(week, ask("SLUICE", "NEVER")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_answer_takes_its_time() {
    let wait = Duration::from_secs(10);
    let begun = tokio::time::Instant::now();
    let clearinghouse = SimulatedClearinghouse::new(Latency::Fixed(wait), 1);
    clearinghouse.check(&question("60054", "AETNA12345")).await.expect("answers");
    assert!(begun.elapsed() >= wait);
}

#[tokio::test]
async fn any_other_question_has_an_answer_of_its_own() {
    let mut protected = 0;
    let mut plans = std::collections::HashSet::new();
    for i in 0..100 {
        let card_number = format!("W{i}");
        let coverage = covered("61101", &card_number).await;
        assert_eq!(coverage, covered("61101", &card_number).await, "the same for the same question");
        assert_eq!(coverage.active, Some(true));
        assert!(!coverage.copays.is_empty() && coverage.deductibles.iter().any(|share| share.remaining.is_some()));
        protected += usize::from(!coverage.behavioral_health_benefits.is_empty());
        plans.insert(coverage.plan_name);
    }
    assert!((10..45).contains(&protected), "{protected} of 100");
    assert!(plans.len() >= 4);
}

#[tokio::test]
async fn what_was_asked_about_is_answered() {
    let mut question = question("94135", "W7");
    question.service_type_codes = vec!["30".into(), "35".into(), "MH".into()];
    let clearinghouse = SimulatedClearinghouse::new(Latency::None, 1);
    let Ok(PayerAnswer::Coverage(coverage)) = clearinghouse.check(&question).await else { panic!() };
    assert!(coverage.copays.iter().any(|copay| copay.service_type_code.as_deref() == Some("35")));
    assert!(!coverage.behavioral_health_benefits.is_empty());
    assert!(coverage.copays.iter().all(|copay| copay.service_type_code.as_deref() != Some("MH")));
}

#[test]
fn payers_are_known_by_their_id() {
    let clearinghouse = SimulatedClearinghouse::new(Latency::None, 1);
    assert!(clearinghouse.knows(&"60054".parse().expect("id")));
    assert!(!clearinghouse.knows(&"6005".parse().expect("id")));
}
