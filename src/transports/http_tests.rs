use reqwest::{Client, Method, RequestBuilder, Response, header};
use serde_json::{Value, json};
use sluice_schema::position::{Cursor, Epoch, ReadVector};

use super::{
    TransportConfig,
    fake::{Asked, Server, cursor},
};

const NEW: &str = "application/graphql-response+json";
const OLD: &str = "application/json";

async fn server() -> Server {
    Server::start(TransportConfig { max_body_bytes: 1000, ..TransportConfig::default() }).await
}

fn post(server: &Server, body: impl Into<reqwest::Body>) -> RequestBuilder {
    let request = Client::new().post(server.url("/graphql")).bearer_auth("nora").header(header::CONTENT_TYPE, OLD);
    request.body(body)
}

fn query(text: &str) -> String {
    json!({ "query": text }).to_string()
}

fn content_type(response: &Response) -> &str {
    response.headers()[header::CONTENT_TYPE].to_str().unwrap()
}

/// The status, and the code of the first error.
async fn outcome(request: RequestBuilder) -> (u16, Option<String>) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["errors"][0]["extensions"]["code"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn the_answer_has_the_accepted_type_and_its_status() {
    let server = server().await;
    let cases = [
        (NEW, "query { a }", NEW, 200),
        (OLD, "query { a }", OLD, 200),
        ("*/*", "query { a }", OLD, 200),
        (NEW, "query invalid", NEW, 400),
        (OLD, "query invalid", OLD, 200),
        (NEW, "{ unbalanced", NEW, 400),
        (OLD, "{ unbalanced", OLD, 200),
        (NEW, "mutation { a }", NEW, 200),
        (NEW, "subscription { a }", NEW, 400),
        (OLD, "subscription { a }", OLD, 400),
        ("text/html", "query { a }", OLD, 406),
    ];
    for (accept, text, expected, status) in cases {
        let response = post(&server, query(text)).header(header::ACCEPT, accept).send().await.unwrap();
        assert_eq!(response.status(), status, "{accept}: {text}");
        assert_eq!(content_type(&response), format!("{expected}; charset=utf-8"), "{accept}: {text}");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body.get("data").is_some(), body.get("errors").is_none(), "{accept}: {text}");
    }
}

#[tokio::test]
async fn variables_reach_the_gate() {
    let server = server().await;
    let body = json!({ "query": "query { a }", "variables": { "x": 1 }, "operationName": null }).to_string();
    let answer: Value = post(&server, body).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer, json!({ "data": { "echo": { "x": 1 } } }));
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let server = server().await;
    let bad = Some("BAD_REQUEST".to_owned());
    let bodies = [
        "",
        "null",
        "nothing",
        "{}",
        "{\"query\":1}",
        "[{\"query\":\"query { a }\"}]",
        "[\"query { a }\",null,null,null]",
        "{\"query\":\"query { a }\",\"variables\":[]}",
        "{\"query\":\"query { a }\",\"extensions\":\"x\"}",
    ];
    for body in bodies {
        assert_eq!(outcome(post(&server, body)).await, (400, bad.clone()), "{body}");
    }
    assert_eq!(outcome(post(&server, query(&"x".repeat(1000)))).await, (413, bad.clone()));
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/graphql"] {
        let request = Client::new().post(server.url("/graphql")).bearer_auth("nora");
        let request = request.header(header::CONTENT_TYPE, content_type).body(query("query { a }"));
        assert_eq!(outcome(request).await, (415, bad.clone()), "{content_type}");
    }
}

#[tokio::test]
async fn without_a_good_token_nothing_is_read() {
    let mut server = server().await;
    let request =
        || Client::new().post(server.url("/graphql")).header(header::CONTENT_TYPE, OLD).body(query("query { a }"));
    let unauthenticated = (401, Some("UNAUTHENTICATED".to_owned()));
    assert_eq!(outcome(request()).await, unauthenticated);
    assert_eq!(outcome(request().bearer_auth("wrong")).await, unauthenticated);
    assert_eq!(outcome(request().basic_auth("nora", Some("x"))).await, unauthenticated);
    assert_eq!(outcome(request().bearer_auth("nora").bearer_auth("nora")).await, unauthenticated, "two tokens");
    assert_eq!(outcome(request().query(&[("access_token", "nora")])).await, unauthenticated);
    assert_eq!(outcome(request().bearer_auth("away")).await.0, 503);
    let response = request().send().await.unwrap();
    assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    assert!(server.asked.try_recv().is_err(), "the gate was not asked");
}

#[tokio::test]
async fn other_methods_are_told_which_to_use() {
    let server = server().await;
    let cases = [
        (Method::GET, "/graphql?query=%7Ba%7D", 405, Some("POST")),
        (Method::PUT, "/graphql", 405, Some("POST")),
        (Method::DELETE, "/events", 405, Some("GET")),
        (Method::POST, "/graphql/ws", 405, Some("GET")),
        (Method::GET, "/graphql/ws", 426, None),
    ];
    for (method, path, status, allow) in cases {
        let response = Client::new().request(method.clone(), server.url(path)).send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(
            response.headers().get(header::ALLOW).map(|allow| allow.to_str().unwrap()),
            allow,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_mutation_is_not_cut_off_by_a_client_that_goes_away() {
    let mut server = server().await;
    let request = tokio::spawn(post(&server, query("mutation slow")).send());
    assert!(matches!(server.asked.recv().await, Some(Asked::Executing)));
    request.abort();
    let _ = request.await;
    server.gate.release.notify_one();
    assert!(matches!(server.asked.recv().await, Some(Asked::Executed)));
}

fn events(server: &Server, parameters: &[(&str, &str)]) -> RequestBuilder {
    Client::new().get(server.url("/events")).query(parameters).bearer_auth("nora")
}

#[tokio::test]
async fn a_poll_answers_events_and_a_cursor() {
    let server = server().await;
    let progress = cursor(&ReadVector(vec![7])).to_string();
    let get = async |parameters: &[(&str, &str)]| {
        events(&server, parameters).send().await.unwrap().json::<Value>().await.unwrap()
    };
    let got = get(&[("channel", "/members/m-1/**"), ("after", &progress), ("wait", "0")]).await;
    assert_eq!(got, json!({ "events": [{ "n": 1 }, { "n": 2 }], "cursor": progress }));
    assert_eq!(get(&[("channel", "/quiet")]).await, json!({ "events": [], "cursor": progress }));
    assert_eq!(get(&[("channel", "/wait")]).await["events"][0]["wait"], 25, "by default");
    assert_eq!(get(&[("channel", "/wait"), ("wait", "60")]).await["events"][0]["wait"], 60);
    let brief = events(&server, &[("channel", "/wait")]).headers(Default::default());
    let brief = brief.header(header::AUTHORIZATION, "Bearer brief");
    assert_eq!(outcome(brief).await, (401, Some("UNAUTHENTICATED".into())), "two tokens are none");
    let brief = Client::new().get(server.url("/events?channel=/wait")).bearer_auth("brief").send().await.unwrap();
    assert_eq!(brief.json::<Value>().await.unwrap()["events"][0]["wait"], 0, "no wait outlives the token");
}

#[tokio::test]
async fn a_poll_that_fails_says_why_by_status_and_code() {
    let server = server().await;
    let old = Cursor { epoch: Epoch(0), vector: ReadVector(vec![1]) }.to_string();
    type Case<'a> = (&'a [(&'a str, &'a str)], u16, &'static str);
    let cases: [Case<'_>; 12] = [
        (&[], 400, "INVALID_CHANNEL"),
        (&[("channel", "members")], 400, "INVALID_CHANNEL"),
        (&[("channel", "/a"), ("after", "x")], 400, "CURSOR_MALFORMED"),
        (&[("channel", "/a"), ("after", "")], 400, "CURSOR_MALFORMED"),
        (&[("channel", "/a"), ("wait", "61")], 400, "BAD_REQUEST"),
        (&[("channel", "/a"), ("wait", "-1")], 400, "BAD_REQUEST"),
        (&[("channel", "/a"), ("wait", "1.5")], 400, "BAD_REQUEST"),
        (&[("channel", "/a"), ("channel", "/b")], 400, "BAD_REQUEST"),
        (&[("channel", "/a"), ("token", "nora")], 400, "BAD_REQUEST"),
        (&[("channel", "/a"), ("after", &old)], 410, "CURSOR_EXPIRED"),
        (&[("channel", "/away")], 503, "UNAVAILABLE"),
        (&[("channel", "/unknown")], 404, "NOT_FOUND"),
    ];
    for (parameters, status, code) in cases {
        assert_eq!(outcome(events(&server, parameters)).await, (status, Some(code.to_owned())), "{parameters:?}");
    }
    let nobody = Client::new().get(server.url("/events?channel=/a"));
    assert_eq!(outcome(nobody).await, (401, Some("UNAUTHENTICATED".into())));
}

#[tokio::test]
async fn a_poll_ends_with_its_client_or_with_the_server() {
    let mut server = server().await;
    let request = tokio::spawn(events(&server, &[("channel", "/hang")]).send());
    assert!(matches!(server.asked.recv().await, Some(Asked::Executing)));
    request.abort();
    assert!(matches!(server.asked.recv().await, Some(Asked::PollDropped)));

    let request = tokio::spawn(outcome(events(&server, &[("channel", "/hang")])));
    assert!(matches!(server.asked.recv().await, Some(Asked::Executing)));
    server.drain.cancel();
    assert_eq!(request.await.unwrap(), (503, Some("UNAVAILABLE".into())));
}

#[tokio::test]
async fn what_is_under_way_when_its_token_is_revoked_is_not_answered() {
    type Asking = fn(&Server) -> RequestBuilder;
    let asking: [Asking; 2] =
        [|server| events(server, &[("channel", "/hang")]), |server| post(server, query("query slow"))];
    for ask in asking {
        let mut server = server().await;
        let request = tokio::spawn(outcome(ask(&server)));
        assert!(matches!(server.asked.recv().await, Some(Asked::Executing)));
        server.gate.revoke().await;
        assert_eq!(request.await.unwrap(), (401, Some("UNAUTHENTICATED".into())));
    }
}

#[tokio::test]
async fn a_mutation_runs_to_its_end_though_its_token_is_revoked() {
    let mut server = server().await;
    let request = tokio::spawn(outcome(post(&server, query("mutation slow"))));
    assert!(matches!(server.asked.recv().await, Some(Asked::Executing)));
    server.gate.revoke().await;
    assert_eq!(request.await.unwrap(), (401, Some("UNAUTHENTICATED".into())));
    server.gate.release.notify_one();
    assert!(matches!(server.asked.recv().await, Some(Asked::Executed)));
}

#[tokio::test]
async fn a_revoked_token_begins_nothing() {
    let server = server().await;
    server.gate.revoke().await;
    for request in [events(&server, &[("channel", "/a")]), post(&server, query("query { a }"))] {
        assert_eq!(outcome(request).await, (401, Some("UNAUTHENTICATED".into())));
    }
}
