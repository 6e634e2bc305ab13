//! What a page of another site can make a browser send, and what counts for nothing in what anybody sends.

use reqwest::{Client, Method, RequestBuilder, header};
use serde_json::{Value, json};

use super::{TransportConfig, fake::Server, graphql_ws::socket_tests::Client as Socket};

const MUTATION: &str = r#"{"query":"mutation { a }"}"#;

/// Whatever else is wrong with it, who sends it is known.
fn request(server: &Server, method: Method, path: &str) -> RequestBuilder {
    Client::new().request(method, server.url(path)).bearer_auth("nora").header(header::ORIGIN, "https://evil.test")
}

async fn server() -> Server {
    Server::start(TransportConfig::default()).await
}

/// Those that a browser sends to another site without asking it (Fetch, "CORS-safelisted request-header").
#[tokio::test]
async fn simple_requests_run_nothing() {
    let mut server = server().await;
    for kind in [
        Some("text/plain"),
        Some("text/plain; application/json"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=x"),
        Some("application/json, text/plain"),
        Some(""),
        None,
    ] {
        let mut post = request(&server, Method::POST, "/graphql").body(MUTATION);
        if let Some(kind) = kind {
            post = post.header(header::CONTENT_TYPE, kind);
        }
        assert_eq!(post.send().await.unwrap().status(), 415, "{kind:?}");
    }
    let twice = request(&server, Method::POST, "/graphql").body(MUTATION);
    let twice = twice.header(header::CONTENT_TYPE, "text/plain").header(header::CONTENT_TYPE, "application/json");
    assert_eq!(twice.send().await.unwrap().status(), 415);
    for path in ["/graphql?query=mutation%20%7B%20a%20%7D", "/graphql/ws?query=mutation%20%7B%20a%20%7D"] {
        for method in [Method::GET, Method::HEAD] {
            let status = request(&server, method.clone(), path).send().await.unwrap().status().as_u16();
            assert!([405, 426].contains(&status), "{method} {path}: {status}");
        }
    }
    assert!(server.asked.try_recv().is_err(), "nothing was run");
}

/// A page that asks first gets no leave, so its browser sends nothing more.
#[tokio::test]
async fn no_other_site_is_given_leave() {
    let server = server().await;
    for path in ["/graphql", "/graphql/ws", "/events"] {
        let asks = request(&server, Method::OPTIONS, path)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization,content-type");
        let response = asks.send().await.unwrap();
        assert_eq!(response.status(), 405, "{path}");
        assert!(!response.headers().keys().any(|name| name.as_str().starts_with("access-control-")), "{path}");
    }
}

/// What a proxy, an older client or an attacker may send beside the token.
const ELSEWHERE: [(&str, &str); 8] = [
    ("cookie", "authorization=Bearer otto; token=otto; session=otto; __Host-token=otto"),
    ("x-user", "otto"),
    ("x-tenant", "south"),
    ("x-tenant-id", "south"),
    ("x-forwarded-user", "otto"),
    ("x-authorization", "Bearer otto"),
    ("x-purpose-of-use", "HPAYMT"),
    ("proxy-authorization", "Bearer otto"),
];

const QUERY: &str =
    "authorization=Bearer%20otto&access_token=otto&token=otto&user=otto&tenant=south&purpose_of_use=HPAYMT";

const NORA: &str = "north/nora/TREAT";

#[tokio::test]
async fn nothing_of_identity_is_read_from_elsewhere_over_http() {
    let server = server().await;
    let body = json!({
        "query": "query who", "variables": { "user": "otto" }, "extensions": { "authorization": "Bearer otto" },
        "authorization": "Bearer otto", "tenant": "south",
    });
    let post = |path: &str| {
        let post = Client::new().post(server.url(path)).header(header::CONTENT_TYPE, "application/json");
        ELSEWHERE.iter().fold(post.body(body.to_string()), |post, (name, value)| post.header(*name, *value))
    };
    let path = format!("/graphql?{QUERY}");
    assert_eq!(post(&path).send().await.unwrap().status(), 401);
    let answer: Value = post(&path).bearer_auth("nora").send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["data"]["who"], NORA);
    let poll = Client::new().get(server.url("/events?channel=/a")).header("cookie", "token=nora");
    assert_eq!(poll.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn nothing_of_identity_is_read_from_elsewhere_on_a_socket() {
    let server = server().await;
    for payload in [
        json!({}),
        json!({ "token": "nora", "access_token": "nora", "authToken": "Bearer nora", "cookie": "token=nora" }),
        json!({ "headers": { "authorization": "Bearer nora" } }),
        json!({ "extensions": { "authorization": "Bearer nora" } }),
        json!({ "AUTHORIZATION": "Bearer nora" }),
        json!({ "user": "nora", "tenant": "north", "purpose_of_use": "TREAT" }),
    ] {
        let upgrade: Vec<_> = ELSEWHERE.into_iter().chain([("authorization", "Bearer nora")]).collect();
        let mut socket = Socket::open_with(&server, QUERY, &upgrade).await;
        socket.send(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.closed().await.0, 4403, "{payload}");
    }
    let mut socket = Socket::open_with(&server, QUERY, &ELSEWHERE).await;
    let payload = json!({
        "authorization": "Bearer nora", "user": "otto", "tenant": "south", "viewer": { "user": "otto" },
        "headers": { "authorization": "Bearer otto" }, "purpose_of_use": "HPAYMT",
    });
    socket.send(json!({ "type": "connection_init", "payload": payload })).await;
    assert_eq!(socket.json().await["type"], "connection_ack");
    let payload = json!({ "query": "query who", "extensions": { "authorization": "Bearer otto" }, "user": "otto" });
    socket.send(json!({ "type": "subscribe", "id": "1", "payload": payload })).await;
    assert_eq!(socket.json().await["payload"]["data"]["who"], NORA);
}
