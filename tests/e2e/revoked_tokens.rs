//! Security staff revokes tokens: what goes on by them ends at once, and they open nothing any more.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sluice_schema::token::TokenId;

use crate::{
    harness::{MEMBER, Options, RICH, Server, WATCH, Ws, code, gateway, question, run, soon},
    installation::Home,
};

const REVOKE: &str = "mutation($input: RevokeTokensInput!) {
    revokeTokens(input: $input) { userId issuedUntil tokenDigest revokedAt }
}";
const CHANNEL: &str = "/members/m-1001/**";
const REASON: &str = "Forbidden: the token was revoked; connect again with a new one and resume with your last cursor";

/// Another token of a demo person.
async fn another(home: &Home, person: &str) -> String {
    let output = run(&["token", "--as", person], home, &[]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).expect("it has three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

fn jti(token: &str) -> String {
    claims(token)["jti"].as_str().expect("Sluice gives each its own").to_owned()
}

async fn revoke(server: &Server, person: &str, input: Value) -> Value {
    server.graphql(person, REVOKE, json!({ "input": input })).await
}

/// By security staff, who may.
async fn revoked(server: &Server, input: Value) -> Value {
    let answer = revoke(server, "security", input).await;
    assert_eq!(answer["errors"], Value::Null, "{answer}");
    answer["data"]["revokeTokens"].clone()
}

/// A socket that watches the member's checks, from now on.
async fn watching(server: &Server, token: &str, after: &str) -> Ws {
    let mut ws = server.with_token(token).connect().await;
    ws.subscribe("w", WATCH, json!({ "member": MEMBER, "after": after })).await;
    ws
}

/// Both changes of a check that is answered.
async fn hears_of_a_check(ws: &mut Ws) {
    for state in ["ACCEPTED", "ANSWERED"] {
        assert_eq!(ws.next_for("w").await["data"]["memberEligibility"]["state"], state);
    }
}

fn told(ws: &Ws) -> usize {
    ws.log().iter().filter(|frame| frame.contains("\"next\"")).count()
}

/// Waits until so many subscriptions are up to date, those of polls among them.
async fn are_attached(server: &Server, count: usize) {
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let line = format!("sluice_subscriptions_attached {count}\n");
    while !server.get("/metrics").await.1.contains(&line) {
        look.tick().await;
    }
}

async fn assert_ended(ws: &mut Ws) {
    let close = ws.closed().await.expect("with a close frame");
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4403, REASON));
}

/// On every transport.
async fn assert_refused(server: &Server, token: &str) {
    let viewer = server.with_token(token);
    assert_eq!(code(&viewer.graphql("{ member(id: \"m-1001\") { id } }", Value::Null).await), "UNAUTHENTICATED");
    assert_eq!(code(&viewer.poll(CHANNEL, None, Duration::ZERO).await), "UNAUTHENTICATED");
    let mut ws = Ws::greet(server.subscriptions_url(), token).await;
    let close = ws.closed().await.expect("with a close frame");
    assert_eq!(u16::from(close.code), 4403);
}

async fn assert_counts(server: &Server, token: &str) {
    let answer = server.with_token(token).graphql("{ member(id: \"m-1001\") { id } }", Value::Null).await;
    assert_eq!(answer["data"]["member"]["id"], MEMBER, "{answer}");
}

#[tokio::test]
async fn all_sessions_of_a_user_end_and_nobody_elses() {
    let server = gateway().await;
    let tokens = [server.token("nurse").to_owned(), another(server.home(), "nurse").await];
    let start = server.viewer("guardian").now().await;
    let mut guardian = watching(&server, server.token("guardian"), &start).await;
    let mut nurse = [watching(&server, &tokens[0], &start).await, watching(&server, &tokens[1], &start).await];
    server.viewer("member").request(question(RICH), "k-1").await;
    for ws in nurse.iter_mut().chain([&mut guardian]) {
        hears_of_a_check(ws).await;
    }
    let now = server.viewer("nurse").now().await;
    let revoking = async {
        are_attached(&server, 4).await;
        revoked(&server, json!({ "userId": "u-nurse" })).await
    };
    let waiting = server.with_token(&tokens[1]);
    let (answer, polled) = tokio::join!(revoking, waiting.poll(CHANNEL, Some(&now), Duration::from_secs(60)));
    assert_eq!((&answer["userId"], &answer["tokenDigest"]), (&json!("u-nurse"), &Value::Null));
    assert_eq!(code(&polled), "UNAUTHENTICATED", "{polled}");

    server.viewer("member").request(question(RICH), "k-2").await;
    hears_of_a_check(&mut guardian).await;
    for ws in &mut nurse {
        assert_ended(ws).await;
        assert_eq!(told(ws), 2, "nothing after the answer: {:?}", ws.log());
    }
    for token in &tokens {
        assert_refused(&server, token).await;
    }
    assert_counts(&server, server.token("guardian")).await;
}

#[tokio::test]
async fn one_token_is_revoked_and_the_users_other_goes_on() {
    let server = gateway().await;
    let lost = another(server.home(), "nurse").await;
    let start = server.viewer("nurse").now().await;
    let mut theirs = watching(&server, &lost, &start).await;
    let mut hers = watching(&server, server.token("nurse"), &start).await;
    are_attached(&server, 2).await;
    let answer = revoked(&server, json!({ "tokenId": jti(&lost) })).await;
    assert_ended(&mut theirs).await;
    assert_refused(&server, &lost).await;
    server.viewer("member").request(question(RICH), "k-1").await;
    hears_of_a_check(&mut hers).await;

    let digest = TokenId::of(&jti(&lost)).unwrap().to_string();
    assert_eq!((&answer["tokenDigest"], &answer["userId"]), (&json!(digest), &Value::Null));
    let trail = server.home().audit_bodies().await;
    let record = trail.iter().find(|body| body.contains("\"administer\"")).expect("it is recorded");
    let record: Value = serde_json::from_str(record).unwrap();
    assert_eq!(record["operation"], "revoke_tokens");
    assert_eq!(record["subject"], format!("token:{digest}"));
    assert_eq!((&record["actor"]["user"], &record["actor"]["purpose"]), (&json!("u-security"), &json!("HOPERAT")));
    let (_, metrics) = server.get("/metrics").await;
    for output in [trail.concat(), server.log(), metrics, answer.to_string()] {
        assert!(!output.contains(&jti(&lost)), "the id of a token is told nowhere: {output}");
    }
}

#[tokio::test]
async fn who_signs_in_again_is_let_in() {
    let server = Server::start(Options::default().env("SLUICE__AUTH__LEEWAY_SECONDS", "0")).await;
    let answer = revoked(&server, json!({ "userId": "u-nurse" })).await;
    let until: jiff::Timestamp = answer["issuedUntil"].as_str().unwrap().parse().unwrap();
    let signed_in = async {
        let mut again = tokio::time::interval(Duration::from_millis(50));
        loop {
            again.tick().await;
            let token = another(server.home(), "nurse").await;
            let polled = server.with_token(&token).poll(CHANNEL, None, Duration::ZERO).await;
            let is_new = claims(&token)["iat"].as_i64().unwrap() > until.as_second();
            assert_eq!(polled["cursor"].is_string(), is_new, "{polled}");
            if is_new {
                return token;
            }
        }
    };
    let token = soon("the next second", signed_in).await;
    let after = server.with_token(&token).now().await;
    let mut ws = watching(&server, &token, &after).await;
    server.viewer("member").request(question(RICH), "k-1").await;
    hears_of_a_check(&mut ws).await;
    assert_refused(&server, server.token("nurse")).await;
}

#[tokio::test]
async fn a_revocation_outlives_the_process() {
    let server = gateway().await;
    let [lost, other] = [another(server.home(), "nurse").await, another(server.home(), "nurse").await];
    revoked(&server, json!({ "tokenId": jti(&lost) })).await;
    let server = Server::start_in(server.kill().await, Options::default()).await;
    assert_refused(&server, &lost).await;
    assert_counts(&server, &other).await;
    revoked(&server, json!({ "userId": "u-nurse" })).await;
    let server = Server::start_in(server.terminate().await, Options::default()).await;
    assert_refused(&server, &other).await;
    assert_counts(&server, server.token("guardian")).await;
}

#[tokio::test]
async fn only_security_staff_may_and_only_in_its_tenant() {
    let server = gateway().await;
    let start = server.viewer("guardian").now().await;
    let mut guardian = watching(&server, server.token("guardian"), &start).await;
    let input = json!({ "userId": "u-guardian" });
    for person in ["member", "guardian", "nurse", "billing", "stranger"] {
        let refused = revoke(&server, person, input.clone()).await;
        assert_eq!(code(&refused), "NOT_FOUND", "{person}");
        let absent = revoke(&server, person, json!({ "userId": "u-nobody" })).await;
        assert_eq!(refused, absent, "{person}");
    }
    let elsewhere = ["token", "--user", "u-security", "--tenant", "elsewhere", "--purpose", "HOPERAT"];
    let token = String::from_utf8(run(&elsewhere, server.home(), &[]).await.stdout).unwrap();
    let refused = server.with_token(token.trim()).graphql(REVOKE, json!({ "input": input })).await;
    assert_eq!(code(&refused), "NOT_FOUND");

    server.viewer("member").request(question(RICH), "k-1").await;
    hears_of_a_check(&mut guardian).await;
    let trail = server.home().audit_bodies().await;
    let denied = trail.iter().filter(|body| body.contains("revoke_tokens user:u-guardian")).count();
    assert_eq!(denied, 6, "each is recorded: {trail:?}");
    assert!(!trail.concat().contains("\"administer\""));
}

#[tokio::test]
async fn what_is_not_one_user_or_token_is_refused() {
    let server = gateway().await;
    let long = "x".repeat(257);
    for (input, expected) in [
        (json!({}), "BAD_REQUEST"),
        (json!({ "userId": null, "tokenId": null }), "BAD_REQUEST"),
        (json!({ "userId": "u-nurse", "tokenId": "t-1" }), "BAD_REQUEST"),
        (json!({ "userId": "Doe, Jane" }), "INVALID_ID"),
        (json!({ "tokenId": "" }), "INVALID_ID"),
        (json!({ "tokenId": long }), "INVALID_ID"),
    ] {
        let refused = revoke(&server, "security", input.clone()).await;
        assert_eq!(code(&refused), expected, "{input}");
        assert!(!refused.to_string().contains("Jane") && !refused.to_string().contains("xx"), "{refused}");
    }
    assert_counts(&server, server.token("nurse")).await;
}

/// Many connect while the user is revoked: each is refused or ended, whichever was first.
#[tokio::test]
async fn who_comes_meanwhile_is_ended_too() {
    let server = gateway().await;
    for round in 0..5 {
        let token = another(server.home(), "nurse").await;
        let coming = join_all((0..20).map(|_| Ws::greet(server.subscriptions_url(), &token)));
        let (mut sockets, _) = tokio::join!(coming, revoked(&server, json!({ "tokenId": jti(&token) })));
        for ws in &mut sockets {
            let close = ws.closed().await.expect("with a close frame");
            assert_eq!(u16::from(close.code), 4403, "round {round}");
        }
    }
}

#[tokio::test]
async fn security_staff_may_end_its_own_sessions() {
    let server = gateway().await;
    let token = another(server.home(), "security").await;
    let mut ws = server.with_token(&token).connect().await;
    ws.subscribe("m", REVOKE, json!({ "input": { "tokenId": jti(&token) } })).await;
    assert_ended(&mut ws).await;
    assert_refused(&server, &token).await;
    let answer = revoke(&server, "security", json!({ "userId": "u-security" })).await;
    assert_eq!(code(&answer), "UNAUTHENTICATED", "its own request is one of them");
    assert_refused(&server, server.token("security")).await;
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn what_is_not_recorded_is_not_revoked() {
    let server = Server::start(Options::failpoints("audit.before-commit=pause")).await;
    let token = server.token("nurse").to_owned();
    let mut ws = server.with_token(&token).connect().await;
    assert_eq!(code(&revoke(&server, "security", json!({ "userId": "u-nurse" })).await), "UNAVAILABLE");
    ws.ping().await;
    let server = Server::start_in(server.kill().await, Options::default()).await;
    assert_counts(&server, &token).await;
}

/// The one that it began with does not end it any more, and the one that it goes on by does.
#[tokio::test]
async fn a_renewed_socket_goes_by_its_newer_token() {
    let server = gateway().await;
    let [first, newer] = [another(server.home(), "nurse").await, another(server.home(), "nurse").await];
    let after = server.viewer("nurse").now().await;
    let mut ws = watching(&server, &first, &after).await;
    assert!(ws.renew(&newer).await["renewed"]["expiresAt"].is_string());
    revoked(&server, json!({ "tokenId": jti(&first) })).await;
    server.viewer("billing").request(question(RICH), "k-1").await;
    hears_of_a_check(&mut ws).await;
    revoked(&server, json!({ "tokenId": jti(&newer) })).await;
    assert_ended(&mut ws).await;
}
