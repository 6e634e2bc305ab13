//! What is wrong with the claims, in tokens that are signed as they should be.

use std::time::Duration;

use jiff::SignedDuration;

use super::*;

#[test]
fn members_that_are_there_twice() {
    let keys = Keys::new();
    let body = claims().to_string();
    let mut cases: Cases = Vec::new();
    for header in [
        r#"{"alg":"none","alg":"EdDSA","kid":"ed"}"#,
        r#"{"alg":"EdDSA","alg":"EdDSA","kid":"ed"}"#,
        r#"{"alg":"EdDSA","kid":"ec","kid":"ed"}"#,
        r#"{"alg":"EdDSA","kid":"ed","\u006bid":"ec"}"#,
        r#"{"alg":"EdDSA","kid":"ed","x":1,"x":1}"#,
    ] {
        cases.push((header.into(), signed(&keys.ed, header, body.as_bytes()), Refusal::Twice));
    }
    for more in [
        r#""sub":"otto""#,
        r#""sub":"nora""#,
        r#""tenant":"south""#,
        r#""exp":9999999999"#,
        r#""iss":"https://evil.test""#,
        r#""purpose_of_use":"PATRQT""#,
        r#""s\u0075b":"otto""#,
        r#""\u0074\u0065\u006eant":"south""#,
        r#""x":1,"x":2"#,
        r#""x":{"y":1,"y":2}"#,
        r#""x":[{"y":1,"y":2}]"#,
    ] {
        let twice = format!("{},{more}}}", &body[..body.len() - 1]);
        cases.push((more.into(), claiming(&keys, twice), Refusal::Twice));
    }
    refused(&keys, cases);
}

#[test]
fn claims_that_do_not_hold() {
    let keys = Keys::new();
    let far = now().as_second();
    let mut cases: Cases = Vec::new();
    for name in ["iss", "aud", "sub", "exp", "nbf", "tenant", "purpose_of_use"] {
        let mut without = claims();
        without.as_object_mut().expect("an object").remove(name);
        cases.push((format!("no {name}"), claiming(&keys, without.to_string()), Refusal::Claims));
        for value in [json!(null), json!({}), json!(true)] {
            cases.push((format!("{name} {value}"), claiming(&keys, with(name, value).to_string()), Refusal::Claims));
        }
    }
    let text = |seconds: i64| json!(seconds.to_string());
    for (name, value, refusal) in [
        ("exp", text(far + 600), Refusal::Claims),
        ("exp", json!("2099-01-01T00:00:00Z"), Refusal::Claims),
        ("exp", json!("never"), Refusal::Claims),
        ("exp", json!([far + 600]), Refusal::Claims),
        ("exp", json!(1e300), Refusal::Claims),
        ("exp", json!(u64::MAX), Refusal::Claims),
        ("exp", json!(0), Refusal::Expired),
        ("exp", json!(-1), Refusal::Expired),
        ("exp", json!(-1e300), Refusal::Expired),
        ("exp", json!(far - 30), Refusal::Expired),
        ("exp", json!(far - 3600), Refusal::Expired),
        ("exp", json!((far + 600) * 1000), Refusal::Claims),
        ("exp", json!(far - 10 + 86_400 + 1), Refusal::Lifetime),
        ("exp", json!(far + 10 * 365 * 86_400), Refusal::Lifetime),
        ("nbf", text(far - 10), Refusal::Claims),
        ("nbf", json!(far + 31), Refusal::NotYetValid),
        ("nbf", json!(far + 3600), Refusal::NotYetValid),
        ("nbf", json!(1e300), Refusal::NotYetValid),
        ("iss", json!("https://evil.test"), Refusal::Issuer),
        ("iss", json!("https://id.test/"), Refusal::Issuer),
        ("iss", json!("HTTPS://ID.TEST"), Refusal::Issuer),
        ("iss", json!(""), Refusal::Issuer),
        ("iss", json!(["https://id.test"]), Refusal::Claims),
        ("aud", json!("other"), Refusal::Audience),
        ("aud", json!("Sluice"), Refusal::Audience),
        ("aud", json!("sluice "), Refusal::Audience),
        ("aud", json!(""), Refusal::Audience),
        ("aud", json!([]), Refusal::Audience),
        ("aud", json!(["other", "another"]), Refusal::Audience),
        ("aud", json!(["sluice", 1]), Refusal::Claims),
        ("aud", json!([["sluice"]]), Refusal::Claims),
        ("sub", json!(["nora"]), Refusal::Claims),
        ("sub", json!(7), Refusal::Claims),
        ("sub", json!(""), Refusal::Claims),
        ("sub", json!("nora\nadmin"), Refusal::Claims),
        ("sub", json!("n".repeat(129)), Refusal::Claims),
        ("tenant", json!("north/south"), Refusal::Claims),
        ("tenant", json!("../south"), Refusal::Claims),
        ("tenant", json!("north#member"), Refusal::Claims),
        ("tenant", json!("*"), Refusal::Claims),
        ("tenant", json!(""), Refusal::Claims),
        ("tenant", json!(["north"]), Refusal::Claims),
        ("purpose_of_use", json!("treat"), Refusal::Claims),
        ("purpose_of_use", json!("HMARKT"), Refusal::Claims),
        ("purpose_of_use", json!(["TREAT"]), Refusal::Claims),
    ] {
        let token = claiming(&keys, with(name, value.clone()).to_string());
        cases.push((format!("{name} {value:.60}"), token, refusal));
    }
    let body = claims().to_string();
    for (name, raw) in [
        ("an exp past all numbers", body.replace(&(far + 600).to_string(), "1e999")),
        ("an exp that is no number", body.replace(&(far + 600).to_string(), "NaN")),
        ("an array", format!("[{body}]")),
        ("a text", json!(body).to_string()),
        ("null", "null".into()),
        ("nothing", String::new()),
        ("something behind", format!("{body}{body}")),
        ("a deep nest", format!("{},\"x\":{}{}}}", &body[..body.len() - 1], "[".repeat(2000), "]".repeat(2000))),
        ("a nest that never ends", "[".repeat(4000)),
        ("names in other letters", body.replace("\"sub\"", "\"Sub\"")),
    ] {
        cases.push((name.into(), claiming(&keys, raw), Refusal::Claims));
    }
    let invalid = [&body.as_bytes()[..body.len() - 1], b",\"x\":\"\xff\"}"].concat();
    cases.push(("no UTF-8".into(), claiming(&keys, invalid), Refusal::Claims));
    refused(&keys, cases);
}

/// Who acts for whom is told in one form, or the token is refused: nobody is to act without being told of.
#[test]
fn actors_that_are_none() {
    let keys = Keys::new();
    let mut cases: Cases = Vec::new();
    for act in [
        json!(null),
        json!(true),
        json!("otto"),
        json!(["otto"]),
        json!([{ "sub": "otto" }]),
        json!({}),
        json!({ "Sub": "otto" }),
        json!({ "client_id": "otto" }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": 7 }),
        json!({ "sub": ["otto"] }),
        json!({ "sub": { "sub": "otto" } }),
        json!({ "sub": "otto\nadmin" }),
        json!({ "sub": "otto:nora" }),
        json!({ "sub": "n".repeat(129) }),
        json!({ "sub": "nora" }),
        json!({ "sub": "nora", "act": { "sub": "otto" } }),
        json!({ "sub": "otto", "iss": null }),
        json!({ "sub": "otto", "iss": ["https://id.test"] }),
        json!({ "sub": "otto", "act": null }),
        json!({ "sub": "otto", "act": "olga" }),
        json!({ "sub": "otto", "act": ["olga"] }),
        json!({ "sub": "otto", "act": {} }),
        json!({ "sub": "otto", "act": { "sub": "olga", "act": { "sub": "" } } }),
        json!({ "act": { "sub": "otto" } }),
    ] {
        let token = claiming(&keys, with("act", act.clone()).to_string());
        cases.push((format!("act {act:.60}"), token, Refusal::Claims));
    }
    for issuer in ["https://evil.test", "https://id.test/", ""] {
        let act = json!({ "sub": "otto", "iss": issuer });
        let token = claiming(&keys, with("act", act).to_string());
        cases.push((format!("an actor of {issuer}"), token, Refusal::Issuer));
    }
    let body = claims().to_string();
    for twice in [
        r#""act":{"sub":"otto"},"act":{"sub":"olga"}"#,
        r#""act":{"sub":"otto","sub":"olga"}"#,
        r#""act":{"sub":"otto"},"\u0061ct":{"sub":"olga"}"#,
        r#""act":{"sub":"otto","act":{"sub":"olga"},"act":{"sub":"olga"}}"#,
    ] {
        let token = claiming(&keys, format!("{},{twice}}}", &body[..body.len() - 1]));
        cases.push((twice.into(), token, Refusal::Twice));
    }
    refused(&keys, cases);
}

#[test]
fn the_skew_of_clocks_is_bounded() {
    let keys = Keys::new();
    let token = claiming(&keys, claims().to_string());
    let at = |seconds: i64| {
        keys.verifier.read(&token, now() + Duration::from_secs(600) + SignedDuration::from_secs(seconds)).map(|_| ())
    };
    assert_eq!(at(29), Ok(()));
    assert_eq!(at(30), Err(Refusal::Expired));
    let before = keys.verifier.read(&token, now() - Duration::from_secs(10 + 31));
    assert_eq!(before.map(|_| ()), Err(Refusal::NotYetValid));
}
