//! Somebody at the server: GraphQL over HTTP, long polls, and the door to WebSockets.

use std::time::Duration;

use serde_json::{Value, json};

use super::{MEMBER, Server, Ws, soon};

/// One token at one server.
#[derive(Clone, Copy)]
pub(crate) struct Viewer<'s> {
    server: &'s Server,
    token: &'s str,
}

const REQUEST: &str = "mutation($input: RequestEligibilityCheckInput!, $key: String!) {
    requestEligibilityCheck(input: $input, idempotencyKey: $key) { id state }
}";
const CANCEL: &str = "mutation($id: ID!) { cancelEligibilityCheck(id: $id) { id state } }";

impl<'s> Viewer<'s> {
    pub(super) fn new(server: &'s Server, token: &'s str) -> Self {
        Self { server, token }
    }

    /// A response that is not JSON fails the test.
    pub(crate) async fn graphql(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        let request = self.server.http.post(self.server.url("/graphql")).bearer_auth(self.token).json(&body);
        soon("an answer", async { request.send().await?.json().await }).await.expect("the server answers")
    }

    /// Asks a payer; the whole response.
    pub(crate) async fn request(&self, input: Value, key: &str) -> Value {
        self.graphql(REQUEST, json!({ "input": input, "key": key })).await
    }

    pub(crate) async fn cancel(&self, id: &str) -> Value {
        self.graphql(CANCEL, json!({ "id": id })).await
    }

    /// The whole response of `GET /events`.
    pub(crate) async fn poll(&self, channel: &str, after: Option<&str>, wait: Duration) -> Value {
        let wait = wait.as_secs().to_string();
        let mut query = vec![("channel", channel), ("wait", &wait)];
        query.extend(after.map(|after| ("after", after)));
        let request = self.server.http.get(self.server.url("/events")).bearer_auth(self.token).query(&query);
        soon("a poll", async { request.send().await?.json().await }).await.expect("the server answers")
    }

    /// A cursor at the present place: what happens from now on is behind it.
    pub(crate) async fn now(&self) -> String {
        let polled = self.poll(&format!("/members/{MEMBER}/**"), None, Duration::ZERO).await;
        polled["cursor"].as_str().unwrap_or_else(|| panic!("no cursor: {polled}")).to_owned()
    }

    /// A graphql-transport-ws connection, acknowledged.
    pub(crate) async fn connect(&self) -> Ws {
        Ws::open(self.server.subscriptions_url(), self.token).await
    }
}

/// `extensions.code` of the first error.
///
/// # Panics
/// There is no error.
pub(crate) fn code(response: &Value) -> &str {
    response["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("no error: {response}"))
}

/// `extensions.cursor`.
///
/// # Panics
/// There is none.
pub(crate) fn cursor(response: &Value) -> &str {
    response["extensions"]["cursor"].as_str().unwrap_or_else(|| panic!("no cursor: {response}"))
}
