use jiff::civil::date;

use super::*;
use crate::twins::{ScriptedPayer, request_input};

fn parsed(change: impl FnOnce(&mut RequestInput)) -> Result<RequestEligibilityCheck, ClientError> {
    let mut input = request_input();
    change(&mut input);
    parse(&input, &"u-1".parse().expect("id"), &ScriptedPayer::default(), date(2026, 11, 24))
}

fn refused(change: impl FnOnce(&mut RequestInput)) -> (Code, String) {
    let error = parsed(change).expect_err("bad input");
    (error.code, error.details["field"].as_str().expect("a field").to_owned())
}

/// One row: code, field, how the input is spoilt.
macro_rules! refusals {
    ($($code:ident $field:literal $($path:ident).+ = $value:expr;)+) => {
        $(
            let found = refused(|input| input.$($path).+ = $value.into());
            assert_eq!(found, (Code::$code, $field.to_owned()), "{} = {:?}", stringify!($($path).+), $value);
        )+
    };
}

#[test]
fn each_refusal_has_its_code_and_says_where() {
    refusals! {
        InvalidId "input.memberId" member_id = "";
        InvalidId "input.memberId" member_id = "Doe, Jane";
        UnknownPayer "input.payerId" payer_id = "99999";
        UnknownPayer "input.payerId" payer_id = "not a payer";
        InvalidNpi "input.provider.npi" provider.npi = "1234567890";
        InvalidNpi "input.provider.npi" provider.npi = "12345";
        InvalidText "input.provider.organizationName" provider.organization_name = "x".repeat(61);
        InvalidText "input.subscriber.memberId" subscriber.member_id = "9".repeat(81);
        InvalidText "input.subscriber.memberId" subscriber.member_id = "";
        InvalidText "input.subscriber.firstName" subscriber.first_name = "  ";
        InvalidText "input.subscriber.lastName" subscriber.last_name = "Love\u{0}lace";
        InvalidDate "input.subscriber.dateOfBirth" subscriber.date_of_birth = "";
        InvalidDate "input.subscriber.dateOfBirth" subscriber.date_of_birth = "1899-12-31";
        InvalidDate "input.subscriber.dateOfBirth" subscriber.date_of_birth = "2026-11-26";
        InvalidDate "input.subscriber.dateOfBirth" subscriber.date_of_birth = "1990-02-30";
        InvalidDate "input.subscriber.dateOfBirth" subscriber.date_of_birth = "19900228";
        InvalidDate "input.subscriber.dateOfBirth" subscriber.date_of_birth = "1990-02-28T00:00:00";
        InvalidDate "input.dateOfService" date_of_service = Some("2024-11-23".to_owned());
        InvalidDate "input.dateOfService" date_of_service = Some("2027-11-25".to_owned());
        InvalidDate "input.dateOfService" date_of_service = Some("soon".to_owned());
        UnknownServiceType "input.serviceTypeCodes.1" service_type_codes = ["30".to_owned(), "ZZ".to_owned()];
        UnknownServiceType "input.serviceTypeCodes" service_type_codes = Vec::<String>::new();
        LimitExceeded "input.serviceTypeCodes" service_type_codes = vec!["30".to_owned(); 100];
    }
}

#[test]
fn what_is_at_the_edge_of_the_rules_is_taken() {
    let request = parsed(|input| {
        input.subscriber.member_id = "9".repeat(80);
        input.subscriber.first_name = " Änne ".into();
        input.subscriber.last_name = "ß".repeat(60);
        input.subscriber.date_of_birth = "1900-01-01".into();
        input.date_of_service = Some("2024-11-24".into());
        input.service_type_codes = vec!["98".into(), "30".into(), "98".into()];
    })
    .expect("good input");
    assert_eq!(request.subscriber.first_name.as_deref(), Some("Änne"));
    assert_eq!(request.service_type_codes, ["98", "30"], "no two alike");
    assert_eq!(request.date_of_service.as_deref(), Some("2024-11-24"));
}

#[test]
fn a_refusal_repeats_nothing_of_the_input() {
    let error = parsed(|input| input.subscriber.first_name = "Secret\u{7}".into()).expect_err("bad input");
    assert!(!error.to_graphql().to_string().contains("Secret"));
}

#[test]
fn idempotency_keys_are_visible_ascii() {
    for bad in ["", "a b", "é", "tab\t", &"x".repeat(256)] {
        assert_eq!(idempotency_key(bad).expect_err("bad key").code, Code::InvalidIdempotencyKey);
    }
    assert!(idempotency_key(&"x".repeat(255)).is_ok());
}
