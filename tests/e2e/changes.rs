//! Access that changes under running streams, by the mutations that change it.

mod classes;
mod emergency;

use serde_json::{Value, json};

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

/// What of a check needs a class of its own, or an audience.
const CHECKS: &str = "subscription { memberEligibility(memberId: \"m-1001\") {
    state coverage { planName substanceUseBenefits { code } }
} }";

async fn family(by: Viewer<'_>, relation: &str) -> Value {
    by.graphql(GRANT, json!({ "input": { "memberId": MEMBER, "relation": relation, "userId": "u-stranger" } })).await
}

/// Has a check answered; the last state that the stream tells of.
async fn answered(server: &Server, ws: &mut Ws, id: &str, key: &str) -> Value {
    server.viewer("billing").request(question(RICH), key).await;
    next_answered(ws, id).await
}

async fn next_answered(ws: &mut Ws, id: &str) -> Value {
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
