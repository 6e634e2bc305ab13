//! Access that changes under running streams, by the mutations that change it.

use std::time::Duration;

use serde_json::{Value, json};

#[cfg(feature = "failpoints")]
use crate::harness::Options;
use crate::harness::{Frame, MEMBER, RICH, Server, Viewer, Ws, code, gateway, question, run};

const GRANT: &str = "mutation($input: GrantAccessInput!) {
    grantAccess(input: $input) { memberId relation userId careTeamId granted until }
}";
const REVOKE: &str = "mutation($input: RevokeAccessInput!) { revokeAccess(input: $input) { granted } }";
const CONSENT: &str = "mutation($input: SetConsentInput!) { setConsent(input: $input) { open class careTeamId } }";
const GRANT_UNTIL: &str = "mutation($input: GrantAccessInput!) { grantAccess(input: $input) { until } }";
const CONSENT_UNTIL: &str = "mutation($input: SetConsentInput!) { setConsent(input: $input) { until } }";
const SET_MEMBER: &str = "mutation($input: SetCareTeamMemberInput!) { setCareTeamMember(input: $input) { role } }";
const REMOVE_MEMBER: &str =
    "mutation($input: RemoveCareTeamMemberInput!) { removeCareTeamMember(input: $input) { role } }";
const BREAK_GLASS: &str = "mutation($id: ID!, $reason: String!, $minutes: Int!) {
    breakGlass(memberId: $id, reason: $reason, minutes: $minutes) { until eventId }
}";

/// What of a check needs a class of its own, or an audience.
const CHECKS: &str = "subscription { memberEligibility(memberId: \"m-1001\") {
    state coverage { planName substanceUseBenefits { code } }
} }";
const EVENTS: &str = "subscription($channel: Channel!) { events(channel: $channel) { type payload {
    ... on EligibilityCheckChanged { after { state coverage { substanceUseBenefits { code } } } }
    ... on GlassBroken { memberId userId reason until }
} } }";

async fn family(by: Viewer<'_>, relation: &str) -> Value {
    by.graphql(GRANT, json!({ "input": { "memberId": MEMBER, "relation": relation, "userId": "u-stranger" } })).await
}

/// Has a check answered; the last state that the stream tells of.
async fn answered(server: &Server, ws: &mut Ws, id: &str, key: &str) -> Value {
    server.viewer("billing").request(question(RICH), key).await;
    loop {
        let next = ws.next_for(id).await;
        if next["data"]["memberEligibility"]["state"] == "ANSWERED" {
            return next;
        }
    }
}

fn substance_use(next: &Value) -> &Value {
    &next["data"]["memberEligibility"]["coverage"]["substanceUseBenefits"]
}

#[tokio::test]
async fn family_that_the_member_chose_sees_until_she_says_otherwise() {
    let server = gateway().await;
    let (member, stranger) = (server.viewer("member"), server.viewer("stranger"));
    let granted = family(member, "FAMILY_COVERAGE").await;
    assert_eq!(granted["data"]["grantAccess"]["granted"], true, "{granted}");
    let mut ws = stranger.connect().await;
    ws.subscribe("w", CHECKS, json!({})).await;
    let next = answered(&server, &mut ws, "w", "k-1").await;
    assert!(next["data"]["memberEligibility"]["coverage"]["planName"].is_string(), "{next}");
    assert!(substance_use(&next).is_null(), "no class is open to family: {next}");

    let input = json!({ "memberId": MEMBER, "relation": "FAMILY_COVERAGE", "userId": "u-stranger" });
    let revoked = member.graphql(REVOKE, json!({ "input": input })).await;
    assert_eq!(revoked["data"]["revokeAccess"]["granted"], false, "{revoked}");
    let Frame::Error(errors) = ws.frame_for("w").await else { panic!("it goes on") };
    assert_eq!(errors[0]["extensions"]["code"], "PERMISSION_REVOKED", "{errors}");
    ws.subscribe("again", CHECKS, json!({})).await;
    assert!(matches!(ws.frame_for("again").await, Frame::Error(_)), "it is closed");
}

#[tokio::test]
async fn family_for_care_sees_nothing_of_coverage() {
    let server = gateway().await;
    assert_eq!(family(server.viewer("member"), "FAMILY_CARE").await["errors"], Value::Null);
    let mut ws = server.viewer("stranger").connect().await;
    ws.subscribe("w", CHECKS, json!({})).await;
    assert!(matches!(ws.frame_for("w").await, Frame::Error(_)));
}

#[tokio::test]
async fn who_may_not_say_so_is_told_what_one_is_told_of_what_does_not_exist() {
    let server = gateway().await;
    for person in ["guardian", "nurse", "billing", "stranger", "physician", "privacy"] {
        assert_eq!(code(&family(server.viewer(person), "FAMILY").await), "NOT_FOUND", "{person}");
    }
    let member = server.viewer("member");
    for relation in ["GUARDIAN", "PERSONAL_REPRESENTATIVE"] {
        assert_eq!(code(&family(member, relation).await), "NOT_FOUND", "{relation} is written down by others");
    }
    assert_eq!(family(server.viewer("registrar"), "GUARDIAN").await["errors"], Value::Null);
    let hers = json!({ "memberId": MEMBER, "relation": "GUARDIAN", "userId": "u-registrar" });
    assert_eq!(code(&server.graphql("registrar", GRANT, json!({ "input": hers })).await), "BAD_REQUEST");
    let myself = json!({ "careTeamId": "t-1", "userId": "u-registrar", "role": "MEMBER" });
    assert_eq!(code(&server.graphql("registrar", SET_MEMBER, json!({ "input": myself })).await), "BAD_REQUEST");
    let to_her = json!({ "memberId": MEMBER, "class": "HIV", "userId": "u-member", "open": true });
    assert_eq!(code(&server.graphql("member", CONSENT, json!({ "input": to_her })).await), "BAD_REQUEST");
    let gone = json!({ "memberId": "m-none", "relation": "FAMILY", "userId": "u-1" });
    assert_eq!(code(&server.graphql("member", GRANT, json!({ "input": gone })).await), "NOT_FOUND");
    let consent = json!({ "memberId": MEMBER, "class": "HIV", "userId": "u-nurse", "open": true });
    for person in ["guardian", "nurse", "registrar"] {
        assert_eq!(code(&server.graphql(person, CONSENT, json!({ "input": consent })).await), "NOT_FOUND", "{person}");
    }
}

/// A guardian of a child gives what ends on the day on which it is the adolescent's own to give.
#[tokio::test]
async fn what_is_given_in_the_members_place_does_not_outlast_the_right_to_give_it() {
    const BEFORE: &str = "2098-01-01T00:00:00Z";
    const END: &str = "2099-01-01T00:00:00Z";
    const BEHIND: &str = "2100-01-01T00:00:00Z";
    let server = gateway().await;
    let with = |mut input: Value, until: Option<&str>| {
        input["until"] = json!(until);
        json!({ "input": input })
    };
    let hers = json!({ "memberId": MEMBER, "relation": "GUARDIAN_OF_CHILD", "userId": "u-stranger" });
    let granted = server.graphql("registrar", GRANT_UNTIL, with(hers, Some(END))).await;
    assert_eq!(granted["data"]["grantAccess"]["until"], END, "{granted}");
    for (asked, given) in [(None, END), (Some(BEHIND), END), (Some(BEFORE), BEFORE)] {
        let input = json!({ "memberId": MEMBER, "class": "HIV", "userId": "u-nurse", "open": true });
        let consent = server.graphql("stranger", CONSENT_UNTIL, with(input, asked)).await;
        assert_eq!(consent["data"]["setConsent"]["until"], given, "{asked:?}: {consent}");
        let input = json!({ "memberId": MEMBER, "relation": "FAMILY", "userId": "u-billing" });
        let family = server.graphql("stranger", GRANT_UNTIL, with(input, asked)).await;
        assert_eq!(family["data"]["grantAccess"]["until"], given, "{asked:?}: {family}");
    }
    let input = json!({ "memberId": MEMBER, "class": "HIV", "userId": "u-nurse", "open": true });
    let consent = server.graphql("member", CONSENT_UNTIL, with(input.clone(), None)).await;
    assert_eq!(consent["data"]["setConsent"]["until"], Value::Null, "what she gives herself stays: {consent}");
    let blocked = json!({ "memberId": MEMBER, "relation": "BLOCKED", "userId": "u-nurse" });
    let closed = server.graphql("stranger", GRANT_UNTIL, with(blocked, None)).await;
    assert_eq!(closed["data"]["grantAccess"]["until"], Value::Null, "it takes away: {closed}");
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

/// A care team's leads act for treatment, the access managers of its organization for operations.
#[tokio::test]
async fn who_is_on_a_team_is_said_by_leads_for_treatment_and_managers_for_operations() {
    let server = gateway().await;
    let input = |user: &str, role: &str| json!({ "careTeamId": "t-1", "userId": user, "role": role });
    let leads = server.graphql("registrar", SET_MEMBER, json!({ "input": input("u-physician", "LEAD") })).await;
    assert_eq!(leads["data"]["setCareTeamMember"]["role"], "LEAD", "{leads}");
    for (user, purpose, may) in [
        ("u-physician", "TREAT", true),
        ("u-physician", "HOPERAT", false),
        ("u-registrar", "HOPERAT", true),
        ("u-registrar", "TREAT", false),
        ("u-nurse", "TREAT", false),
        ("u-nurse", "HOPERAT", false),
        ("u-stranger", "TREAT", false),
    ] {
        let token = minted(&server, user, purpose).await;
        let viewer = server.with_token(&token);
        let set = viewer.graphql(SET_MEMBER, json!({ "input": input("u-new", "LEAD") })).await;
        let off = json!({ "input": { "careTeamId": "t-1", "userId": "u-new" } });
        let removed = viewer.graphql(REMOVE_MEMBER, off).await;
        if may {
            assert_eq!(set["data"]["setCareTeamMember"]["role"], "LEAD", "{user}, {purpose}: {set}");
            assert_eq!(
                removed["data"]["removeCareTeamMember"],
                json!({ "role": null }),
                "{user}, {purpose}: {removed}"
            );
        } else {
            assert_eq!([code(&set), code(&removed)], ["NOT_FOUND"; 2], "{user}, {purpose}");
        }
    }
}

/// A token of the server's tenant.
async fn minted(server: &Server, user: &str, purpose: &str) -> String {
    let arguments = ["token", "--user", user, "--tenant", server.home().tenant(), "--purpose", purpose];
    let token = String::from_utf8(run(&arguments, server.home(), &[]).await.stdout).unwrap();
    token.trim().to_owned()
}

#[tokio::test]
async fn input_that_makes_no_sense_says_where() {
    let server = gateway().await;
    let both = json!({ "memberId": MEMBER, "relation": "FAMILY", "userId": "u-1", "careTeamId": "t-1" });
    let team = json!({ "memberId": MEMBER, "relation": "FAMILY", "careTeamId": "t-1" });
    let over = json!({ "memberId": MEMBER, "relation": "FAMILY", "userId": "u-1", "until": "2020-01-01T00:00:00Z" });
    let blocked =
        json!({ "memberId": MEMBER, "relation": "BLOCKED", "userId": "u-1", "until": "2099-01-01T00:00:00Z" });
    for (input, field) in
        [(both, "input.userId"), (team, "input.relation"), (over, "input.until"), (blocked, "input.until")]
    {
        let answer = server.graphql("member", GRANT, json!({ "input": input })).await;
        assert_eq!(answer["errors"][0]["extensions"]["field"], field, "{answer}");
    }
}

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
async fn who_leaves_the_care_team_is_told_and_who_covers_sees() {
    let server = gateway().await;
    let mut nurse = server.viewer("nurse").connect().await;
    nurse.subscribe("w", CHECKS, json!({})).await;
    answered(&server, &mut nurse, "w", "k-1").await;
    let input = json!({ "careTeamId": "t-1", "userId": "u-nurse" });
    let removed = server.graphql("registrar", REMOVE_MEMBER, json!({ "input": input })).await;
    assert_eq!(removed["data"]["removeCareTeamMember"]["role"], Value::Null, "{removed}");
    let Frame::Error(errors) = nurse.frame_for("w").await else { panic!("it goes on") };
    assert_eq!(errors[0]["extensions"]["code"], "PERMISSION_REVOKED", "{errors}");

    let mut physician = server.viewer("physician").connect().await;
    let forever = json!({ "careTeamId": "t-1", "userId": "u-physician", "role": "COVERING" });
    assert_eq!(code(&server.graphql("registrar", SET_MEMBER, json!({ "input": forever })).await), "BAD_REQUEST");
    let covering = json!({
        "careTeamId": "t-1", "userId": "u-physician", "role": "COVERING", "until": "2099-01-01T00:00:00Z",
    });
    assert_eq!(code(&server.graphql("nurse", SET_MEMBER, json!({ "input": covering })).await), "NOT_FOUND");
    let set = server.graphql("registrar", SET_MEMBER, json!({ "input": covering })).await;
    assert_eq!(set["data"]["setCareTeamMember"]["role"], "COVERING", "{set}");
    physician.subscribe("w", CHECKS, json!({})).await;
    answered(&server, &mut physician, "w", "k-2").await;
}

#[tokio::test]
async fn broken_glass_is_told_first_and_opens_a_running_stream() {
    let server = gateway().await;
    let channel = json!({ "channel": format!("/members/{MEMBER}/**") });
    let mut physician = server.viewer("physician").connect().await;
    physician.subscribe("w", EVENTS, channel.clone()).await;
    let mut officer = server.viewer("privacy").connect().await;
    officer.subscribe("w", EVENTS, json!({ "channel": "/members/*/emergency" })).await;
    officer.ping().await;
    let mut nurse = server.viewer("nurse").connect().await;
    nurse.subscribe("w", CHECKS, json!({})).await;
    answered(&server, &mut nurse, "w", "k-1").await;
    physician.ping().await;
    assert!(!physician.log().concat().contains("\"next\""), "nothing is open to her yet: {:?}", physician.log());

    let words = json!({ "id": MEMBER, "reason": "Found unconscious, no relative at hand", "minutes": 5 });
    for person in ["nurse", "member", "stranger", "privacy"] {
        assert_eq!(code(&server.graphql(person, BREAK_GLASS, words.clone()).await), "NOT_FOUND", "{person}");
    }
    let broken = server.graphql("physician", BREAK_GLASS, words).await;
    let event = broken["data"]["breakGlass"]["eventId"].as_str().unwrap_or_else(|| panic!("{broken}"));
    let alert = officer.next_for("w").await;
    let payload = &alert["data"]["events"]["payload"];
    assert_eq!((&payload["userId"], &payload["memberId"]), (&json!("u-physician"), &json!(MEMBER)), "{alert}");
    assert_eq!(payload["reason"], "Found unconscious, no relative at hand");
    answered(&server, &mut nurse, "w", "k-2").await;
    let opened = loop {
        let next = physician.next_for("w").await;
        let after = next["data"]["events"]["payload"]["after"].clone();
        if after["state"] == "ANSWERED" {
            break after;
        }
    };
    assert!(opened["coverage"]["substanceUseBenefits"].is_array(), "every class is open: {opened}");

    let told = server.poll("member", &format!("/members/{MEMBER}/emergency"), None, Duration::ZERO).await;
    assert!(told["cursor"].is_string(), "{told}");
    let home = server.terminate().await;
    let trail = home.audit_bodies().await;
    let place = |words: &[&str]| {
        let found = trail.iter().position(|body| words.iter().all(|word| body.contains(word)));
        found.unwrap_or_else(|| panic!("{words:?} is not in {trail:#?}"))
    };
    let recorded = place(&["\"administer\"", "break_glass", "u-physician", "#emergency@"]);
    assert!(recorded < place(&["\"deliver\"", event]), "recorded before it is told");
    // Care team, by emergency; every class, one of them asked about anew.
    place(&["\"deliver\"", "u-physician", "\"visibilities\":68", "\"sensitivities\":"]);
    assert!(!trail.concat().contains("unconscious"), "the reason is in the event alone");
}

/// What can't be recorded is neither told nor done.
#[cfg(feature = "failpoints")]
#[tokio::test]
async fn glass_that_can_not_be_recorded_stays_whole() {
    let server = gateway().await;
    let before = server.viewer("privacy").now().await;
    let unrecorded = Options::failpoints("audit.before-commit=pause");
    let server = Server::start_in(server.terminate().await, unrecorded).await;
    let words = json!({ "id": MEMBER, "reason": "Found unconscious", "minutes": 5 });
    assert_eq!(code(&server.graphql("physician", BREAK_GLASS, words).await), "UNAVAILABLE");

    let server = Server::start_in(server.kill().await, Options::default()).await;
    let told = server.poll("privacy", "/members/*/emergency", Some(&before), Duration::ZERO).await;
    assert_eq!(told["events"], json!([]), "{told}");
    let mut physician = server.viewer("physician").connect().await;
    physician.subscribe("w", CHECKS, json!({})).await;
    assert!(matches!(physician.frame_for("w").await, Frame::Error(_)), "nothing was opened");
}
