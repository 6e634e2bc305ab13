//! Random checks and commands for property tests.

use proptest::{collection::vec, option, prelude::*};
use sluice_schema::proto::eligibility::{
    Benefit, CostShare, Coverage, EligibilityCheck, Failure, Provider, Rejection, Subscriber,
};

use super::aggregate::{Command, RequestEligibilityCheck};

fn text() -> impl Strategy<Value = Option<String>> + Clone {
    option::of("[a-c]{0,2}")
}

fn any_coverage() -> impl Strategy<Value = Coverage> {
    let benefit = text().prop_map(|code| Benefit { code, ..Benefit::default() });
    let share = text().prop_map(|amount| CostShare { amount, ..CostShare::default() });
    (option::of(any::<bool>()), text(), vec(share, 0..2), vec(benefit.clone(), 0..2), vec(benefit, 0..2)).prop_map(
        |(active, plan_name, copays, benefits, behavioral_health_benefits)| Coverage {
            active,
            plan_name,
            copays,
            benefits,
            behavioral_health_benefits,
            ..Coverage::default()
        },
    )
}

fn any_rejections() -> impl Strategy<Value = Vec<Rejection>> {
    vec(text().prop_map(|code| Rejection { code, ..Rejection::default() }), 0..3)
}

/// Any check, not only such as the rules bring about.
pub(crate) fn any_check() -> impl Strategy<Value = EligibilityCheck> {
    let provider = (text(), text()).prop_map(|(npi, organization_name)| Provider { npi, organization_name });
    let subscriber = (text(), text()).prop_map(|(first_name, member_id)| Subscriber {
        first_name,
        member_id,
        ..Subscriber::default()
    });
    let time = option::of((0..3_i64).prop_map(|seconds| prost_types::Timestamp { seconds, nanos: 0 }));
    (0..6_i32, text(), option::of(provider), option::of(subscriber), time, option::of(any_coverage()), any_rejections())
        .prop_map(|(state, payer_id, provider, subscriber, completed_at, coverage, rejections)| EligibilityCheck {
            id: "ec-1".into(),
            state,
            payer_id,
            provider,
            subscriber,
            completed_at,
            coverage,
            rejections,
            ..EligibilityCheck::default()
        })
}

/// A request for `ec-1` of `m-1`.
pub(crate) fn request() -> Command {
    Command::Request(Box::new(RequestEligibilityCheck {
        check: "ec-1".parse().expect("id"),
        member: "m-1".parse().expect("id"),
        payer: "60054".parse().expect("id"),
        provider: Provider { npi: Some("1234567893".into()), organization_name: Some("Birch Street Clinic".into()) },
        subscriber: Subscriber { first_name: Some("Ada".into()), ..Subscriber::default() },
        service_type_codes: vec!["30".into()],
        date_of_service: None,
        requested_by: "u-1".parse().expect("id"),
    }))
}

pub(crate) fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        Just(request()),
        any_coverage().prop_map(|coverage| Command::Answer(Box::new(coverage))),
        any_rejections().prop_map(Command::Reject),
        text().prop_map(|code| Command::Fail(Failure { code: code.unwrap_or_default(), text: "…".into() })),
        Just(Command::Cancel { by: "u-2".parse().expect("id") }),
    ]
}
