//! Consents, and the birthday from which what is confidential is the adolescent's own.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{CHECKS, CONSENT, GRANT, REVOKE, SET_MEMBER, answered, family, next_answered, substance_use};
use crate::harness::{MEMBER, RICH, code, gateway, question};

/// What of a check needs a class that decisions are kept for.
const KEPT: &str = "subscription { memberEligibility(memberId: \"m-1001\") {
    state coverage { planName behavioralHealthBenefits { code } }
} }";

#[tokio::test]
async fn a_consent_opens_and_closes_a_class_with_the_next_event() {
    let server = gateway().await;
    let mut ws = server.viewer("nurse").connect().await;
    ws.subscribe("w", CHECKS, json!({})).await;
    let before = answered(&server, &mut ws, "w", "k-1").await;
    assert!(substance_use(&before).is_null(), "{before}");
    for (open, key) in [(true, "k-2"), (false, "k-3")] {
        let input = json!({ "memberId": MEMBER, "class": "SUBSTANCE_USE", "careTeamId": "t-1", "open": open });
        let set = server.graphql("member", CONSENT, json!({ "input": input })).await;
        assert_eq!(set["data"]["setConsent"]["open"], open, "{set}");
        let next = answered(&server, &mut ws, "w", key).await;
        assert_eq!(substance_use(&next).is_array(), open, "{next}");
    }
}

#[tokio::test]
async fn a_consent_opens_a_class_to_family_and_to_the_guardian_of_an_adolescent() {
    for person in ["stranger", "guardian"] {
        let server = gateway().await;
        assert_eq!(family(server.viewer("member"), "FAMILY_COVERAGE").await["errors"], Value::Null);
        let mut ws = server.viewer(person).connect().await;
        ws.subscribe("w", CHECKS, json!({})).await;
        for (open, key) in [(false, "k-1"), (true, "k-2"), (false, "k-3")] {
            let user = format!("u-{person}");
            let input = json!({ "memberId": MEMBER, "class": "SUBSTANCE_USE", "userId": user, "open": open });
            let set = server.graphql("member", CONSENT, json!({ "input": input })).await;
            assert_eq!(set["data"]["setConsent"]["open"], open, "{set}");
            let next = answered(&server, &mut ws, "w", key).await;
            assert_eq!(substance_use(&next)[0]["code"].is_string(), open, "{person}: {next}");
            assert_eq!(next["extensions"]["redacted"].is_null(), open, "{person}: {next}");
        }
    }
}

/// How the day comes on which what is confidential is an adolescent's own.
#[derive(PartialEq)]
enum Birthday {
    /// As it was written down before.
    ByItself,
    /// Somebody writes it down.
    Told,
}

/// Her guardian keeps the rest, on the same streams.
async fn the_classes_close_on(birthday: Birthday) {
    let server = gateway().await;
    let input = |relation: &str, until: Option<Timestamp>| {
        let until = until.map(|until| until.to_string());
        json!({ "input": { "memberId": MEMBER, "relation": relation, "userId": "u-stranger", "until": until } })
    };
    for relation in ["GUARDIAN", "GUARDIAN_OF_CHILD"] {
        assert_eq!(server.graphql("registrar", GRANT, input(relation, None)).await["errors"], Value::Null);
    }
    let mut ws = server.viewer("stranger").connect().await;
    // By decisions that are kept, and by one for each event.
    let classes = [("kept", "behavioralHealthBenefits"), ("strict", "substanceUseBenefits")];
    ws.subscribe("kept", KEPT, json!({})).await;
    ws.subscribe("strict", CHECKS, json!({})).await;
    server.viewer("billing").request(question(RICH), "k-1").await;
    for (id, class) in classes {
        let next = next_answered(&mut ws, id).await;
        assert!(next["data"]["memberEligibility"]["coverage"][class][0]["code"].is_string(), "{id}: {next}");
    }
    if birthday == Birthday::ByItself {
        let day = Timestamp::from_millisecond(Timestamp::now().as_millisecond() + 300).unwrap();
        let granted = server.graphql("registrar", GRANT, input("GUARDIAN_OF_CHILD", Some(day))).await;
        assert_eq!(granted["errors"], Value::Null, "{granted}");
        // Nothing tells of it but the clock.
        tokio::time::sleep(day.duration_since(Timestamp::now()).try_into().unwrap_or_default()).await;
    } else {
        let mut input = input("GUARDIAN_OF_CHILD", None);
        input["input"].as_object_mut().unwrap().remove("until");
        assert_eq!(server.graphql("registrar", REVOKE, input).await["errors"], Value::Null);
    }
    server.viewer("billing").request(question(RICH), "k-2").await;
    for (id, class) in classes {
        let next = next_answered(&mut ws, id).await;
        let coverage = &next["data"]["memberEligibility"]["coverage"];
        assert!(coverage[class].is_null() && coverage["planName"].is_string(), "{id}: {next}");
        assert_eq!(next["extensions"]["redacted"], json!([["memberEligibility", "coverage", class]]), "{id}: {next}");
    }
}

#[tokio::test]
async fn the_classes_close_to_a_guardian_on_the_birthday_with_the_next_event() {
    the_classes_close_on(Birthday::ByItself).await;
}

#[tokio::test]
async fn the_classes_close_to_a_guardian_with_the_next_event_that_is_told() {
    the_classes_close_on(Birthday::Told).await;
}

/// She would see by treating what she opened in the member's place, also when she no longer stands there.
#[tokio::test]
async fn a_representative_opens_nothing_to_a_care_team_that_she_is_on() {
    let server = gateway().await;
    let stands_in = json!({ "memberId": MEMBER, "relation": "PERSONAL_REPRESENTATIVE", "userId": "u-stranger" });
    assert_eq!(server.graphql("registrar", GRANT, json!({ "input": stands_in })).await["errors"], Value::Null);
    let consent =
        |open: bool| json!({ "memberId": MEMBER, "class": "SUBSTANCE_USE", "careTeamId": "t-1", "open": open });
    let set = async |person: &str, open| server.graphql(person, CONSENT, json!({ "input": consent(open) })).await;
    assert_eq!(set("stranger", true).await["errors"], Value::Null, "it is not her team");
    for person in ["u-stranger", "u-member"] {
        let joins = json!({ "careTeamId": "t-1", "userId": person, "role": "MEMBER" });
        assert_eq!(server.graphql("registrar", SET_MEMBER, json!({ "input": joins })).await["errors"], Value::Null);
    }
    let refused = set("stranger", true).await;
    assert_eq!(code(&refused), "BAD_REQUEST", "{refused}");
    assert_eq!(refused["errors"][0]["extensions"]["field"], "input.careTeamId", "{refused}");
    assert_eq!(set("stranger", false).await["errors"], Value::Null, "what is closed is given to nobody");
    assert_eq!(set("member", true).await["errors"], Value::Null, "it is her own record, and her team as well");
}
