//! Each refusal with its code, alike on every transport.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{CHECK, Frame, MEMBER, Options, RICH, Server, WATCH, Ws, code, gateway, question};

/// The question with one thing wrong.
fn wrong(pointer: &str, value: Value) -> Value {
    let mut question = question(RICH);
    *question.pointer_mut(pointer).unwrap() = value;
    question
}

#[tokio::test]
async fn each_bad_input_has_its_code_and_its_field() {
    let server = gateway().await;
    for (pointer, value, expected) in [
        ("/provider/npi", json!("1999999985"), "INVALID_NPI"),
        ("/provider/npi", json!("199"), "INVALID_NPI"),
        ("/payerId", json!("NOBODY"), "UNKNOWN_PAYER"),
        ("/dateOfService", json!("2026-02-30"), "INVALID_DATE"),
        ("/dateOfService", json!("04.05.2026"), "INVALID_DATE"),
        ("/subscriber/dateOfBirth", json!("1987-3-9"), "INVALID_DATE"),
        ("/subscriber/lastName", json!(""), "INVALID_TEXT"),
        ("/serviceTypeCodes", json!(["30", "ZZZ"]), "UNKNOWN_SERVICE_TYPE"),
        ("/memberId", json!("m 1"), "INVALID_ID"),
    ] {
        let refused = server.viewer("nurse").request(wrong(pointer, value.clone()), "k-1").await;
        assert_eq!(code(&refused), expected, "{pointer} = {value}");
        // A date is refused by its scalar, which does not know where it stands.
        if expected != "INVALID_DATE" {
            let field = refused["errors"][0]["extensions"]["field"].as_str().unwrap_or_default().replace('.', "/");
            assert!(field.starts_with(&format!("input{pointer}")), "{field} for {pointer}");
        }
    }
    let refused = server.viewer("nurse").request(question(RICH), "").await;
    assert_eq!(code(&refused), "INVALID_IDEMPOTENCY_KEY");
}

#[tokio::test]
async fn an_error_repeats_nothing_of_the_input() {
    let server = gateway().await;
    for pointer in ["/provider/npi", "/payerId", "/memberId", "/dateOfService", "/subscriber/dateOfBirth"] {
        let refused = server.viewer("nurse").request(wrong(pointer, json!("Zanzibar 7")), "k-1").await;
        assert!(!refused.to_string().contains("Zanzibar"), "{refused}");
        code(&refused);
    }
    assert!(!server.log().contains("Zanzibar"), "nor does the log");
}

#[tokio::test]
async fn not_there_and_not_yours_are_one_answer() {
    let server = gateway().await;
    let asked = server.viewer("nurse").request(question(RICH), "k-1").await;
    let there = asked["data"]["requestEligibilityCheck"]["id"].as_str().unwrap();
    let stranger = server.viewer("stranger");
    let entity = "query($id: ID!) {
        _entities(representations: [{ __typename: \"EligibilityCheck\", id: $id }]) { ... on EligibilityCheck { id } }
    }";

    for query in [CHECK, entity] {
        let yours = stranger.graphql(query, json!({ "id": there })).await;
        let absent = stranger.graphql(query, json!({ "id": "ec-01a20c14c4787744a6be99c9cf640524" })).await;
        assert_eq!(code(&yours), "NOT_FOUND");
        assert_eq!(yours, absent);
    }
    assert_eq!(stranger.cancel(there).await, stranger.cancel("ec-none").await);
    let of_nobody = stranger.request(wrong("/memberId", json!("m-404")), "k-1").await;
    let of_member = stranger.request(question(RICH), "k-1").await;
    assert_eq!((code(&of_nobody), &of_nobody), ("NOT_FOUND", &of_member));

    let mut ws = stranger.connect().await;
    let [of_member, of_nobody] = [MEMBER, "m-404"].map(|member| json!({ "member": member, "after": null }));
    assert_eq!(refused(&mut ws, WATCH, of_member).await, refused(&mut ws, WATCH, of_nobody).await);
}

/// The errors of a subscription that does not begin.
async fn refused(ws: &mut Ws, query: &str, variables: Value) -> Value {
    ws.subscribe("refused", query, variables).await;
    match ws.frame_for("refused").await {
        Frame::Error(errors) => errors,
        other => panic!("wanted an error, got {other:?}"),
    }
}

#[tokio::test]
async fn a_cursor_that_is_none() {
    let server = gateway().await;
    let polled = server.poll("nurse", "/members/*/**", Some("x"), Duration::ZERO).await;
    assert_eq!(code(&polled), "CURSOR_MALFORMED");
    let mut ws = server.viewer("nurse").connect().await;
    let errors = refused(&mut ws, WATCH, json!({ "member": MEMBER, "after": "x" })).await;
    assert_eq!(errors[0]["extensions"]["code"], "CURSOR_MALFORMED");
}

#[tokio::test]
async fn a_cursor_of_another_log() {
    let (server, other) = (gateway().await, gateway().await);
    let cursor = other.viewer("nurse").now().await;
    let channel = format!("/members/{MEMBER}/**");
    let polled = server.poll("nurse", &channel, Some(&cursor), Duration::ZERO).await;
    let mut ws = server.viewer("nurse").connect().await;
    let errors = refused(&mut ws, WATCH, json!({ "member": MEMBER, "after": cursor })).await;
    for error in [&polled["errors"][0], &errors[0]] {
        let extensions = &error["extensions"];
        assert_eq!((&extensions["code"], &extensions["reason"]), (&json!("CURSOR_EXPIRED"), &json!("EPOCH")));
        // What it advises works.
        let earliest = extensions["earliest"].as_str().unwrap();
        let polled = server.poll("nurse", &channel, Some(earliest), Duration::ZERO).await;
        assert_eq!(polled["errors"], Value::Null);
    }
}

#[tokio::test]
async fn limits_are_the_same_on_every_transport() {
    let nested = (0..12).fold("name".to_owned(), |inner, _| format!("ofType {{ {inner} }}"));
    let deep = format!("{{ __type(name: \"Query\") {{ {nested} }} }}");
    let aliases: String = (0..16).map(|i| format!("a{i}: id ")).collect();
    let many = format!("memberEligibility(memberId: \"{MEMBER}\") {{ {aliases} }}");
    let long = format!("memberEligibility(memberId: \"{MEMBER}\") {{ {} }}", "id ".repeat(1000));
    let long_query = format!("{{ {} }}", "__typename ".repeat(1000));
    let many_query = format!("{{ eligibilityCheck(id: \"ec-1\") {{ {aliases} }} }}");

    let server = gateway().await;
    let mut ws = server.viewer("nurse").connect().await;
    for query in [&deep, &many_query, &long_query] {
        let by_http = server.graphql("nurse", query, Value::Null).await;
        assert_eq!(code(&by_http), "LIMIT_EXCEEDED", "{query}");
        assert!(by_http.get("data").is_none(), "it is not executed: {by_http}");
        let by_ws = refused(&mut ws, query, json!({})).await;
        assert_eq!(by_ws, by_http["errors"], "{query}");
    }
    for fields in [&many, &long] {
        let by_ws = refused(&mut ws, &format!("subscription {{ {fields} }}"), json!({})).await;
        assert_eq!(by_ws[0]["extensions"]["code"], "LIMIT_EXCEEDED", "{fields}");
    }
}

/// The token of a demo person with one letter of its signature changed.
fn forged(server: &Server) -> String {
    let token = server.token("nurse");
    let at = token.len() - 10;
    let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

#[tokio::test]
async fn a_token_that_does_not_hold() {
    let (server, other) = (gateway().await, gateway().await);
    for token in ["nonsense", &forged(&server), other.token("nurse")] {
        let viewer = server.with_token(token);
        assert_eq!(code(&viewer.graphql("{ __typename }", Value::Null).await), "UNAUTHENTICATED");
        assert_eq!(code(&viewer.poll("/members/*/**", None, Duration::ZERO).await), "UNAUTHENTICATED");
        let mut ws = Ws::greet(server.subscriptions_url(), token).await;
        assert_eq!(ws.closed().await.map(|close| u16::from(close.code)), Some(4403));
        assert_eq!(ws.log(), [] as [&str; 0], "not a word before");
    }
}

#[tokio::test]
async fn an_entity_that_may_not_be_seen_takes_no_other_with_it() {
    let server = gateway().await;
    let asked = server.viewer("nurse").request(question(RICH), "k-1").await;
    let id = &asked["data"]["requestEligibilityCheck"]["id"];
    let query = "query($of: [_Any!]!) { _entities(representations: $of) { ... on EligibilityCheck { id } ... on Member { id } } }";
    let of = json!([
        { "__typename": "EligibilityCheck", "id": "ec-none" },
        { "__typename": "EligibilityCheck", "id": id },
        { "__typename": "Member", "id": "m-none" },
        { "__typename": "Member", "id": MEMBER },
    ]);
    let answer = server.viewer("nurse").graphql(query, json!({ "of": of })).await;
    assert_eq!(answer["data"]["_entities"], json!([null, { "id": id }, null, { "id": MEMBER }]));
    let codes: Vec<_> = answer["errors"].as_array().unwrap().iter().map(|error| &error["extensions"]["code"]).collect();
    assert_eq!(codes, ["NOT_FOUND", "NOT_FOUND"]);
}

#[tokio::test]
async fn a_page_that_is_too_large_is_refused_where_it_stands() {
    let server = gateway().await;
    let query = format!(
        "{{ member(id: \"{MEMBER}\") {{ id eligibility {{ checks(first: 1000) {{ edges {{ cursor }} }} }} }} }}"
    );
    let answer = server.viewer("nurse").graphql(&query, json!({})).await;
    assert_eq!(code(&answer), "INVALID_PAGE");
    assert_eq!(answer["data"]["member"], json!({ "id": MEMBER, "eligibility": { "checks": null } }));
}

#[tokio::test]
async fn a_poll_that_does_not_wait_is_given_what_is_there() {
    let server = gateway().await;
    let start = server.viewer("nurse").now().await;
    server.viewer("nurse").request(question(RICH), "k-1").await;
    let polled = server.viewer("nurse").poll("/**", Some(&start), Duration::ZERO).await;
    assert!(!polled["events"].as_array().unwrap().is_empty(), "{polled}");
}

#[tokio::test]
async fn the_limit_on_complexity_holds_on_every_way() {
    let options = Options::default().env("SLUICE__LIMITS__MAX_COMPLEXITY", "4");
    let server = Server::start(options).await;
    let costly =
        server.viewer("nurse").graphql("{ member(id: \"m-1001\") { a: id b: id c: id d: id } }", json!({})).await;
    assert_eq!((code(&costly), &costly["data"]), ("LIMIT_EXCEEDED", &Value::Null));
    let mut ws = server.viewer("nurse").connect().await;
    let query = "subscription { memberEligibility(memberId: \"m-1001\") { id state payerId memberId } }";
    ws.subscribe("w", query, json!({})).await;
    let Frame::Error(errors) = ws.frame_for("w").await else { panic!("{:?}", ws.log()) };
    assert_eq!(errors[0]["extensions"]["code"], "LIMIT_EXCEEDED");
}

#[tokio::test]
async fn a_viewer_has_so_many_connections_and_another_has_her_own() {
    let server = Server::start(Options::default().env("SLUICE__TRANSPORTS__MAX_CONNECTIONS_PER_VIEWER", "1")).await;
    let mut first = server.viewer("nurse").connect().await;
    let mut second = Ws::greet(server.subscriptions_url(), server.token("nurse")).await;
    let close = second.closed().await.expect("it is told why");
    assert_eq!(u16::from(close.code), 1013);
    assert!(close.reason.contains("Too many connections"), "{close:?}");
    server.viewer("billing").connect().await.ping().await;
    first.ping().await;
}
