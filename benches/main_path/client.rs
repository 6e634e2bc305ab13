//! What clients send over HTTP, on connections that are kept.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::server::Viewer;

const REQUEST: &str = "mutation Request($input: RequestEligibilityCheckInput!, $key: String!) {
  requestEligibilityCheck(input: $input, idempotencyKey: $key) { id state }
}";

const READ: &str = "query Check($id: ID!) {
  eligibilityCheck(id: $id) {
    id state completedAt
    coverage { active planName copays { amount } deductibles { amount remaining } benefits { code } }
  }
}";

/// One person's client.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    graphql: String,
    token: String,
    member: String,
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Data>,
    errors: Option<Value>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(alias = "requestEligibilityCheck", alias = "eligibilityCheck")]
    check: Option<Check>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) completed_at: Option<Timestamp>,
}

impl Client {
    pub(crate) fn new(graphql: &str, viewer: &Viewer, member: &str) -> Result<Self, String> {
        // A proxy is no part of what is measured.
        let http = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
        Ok(Self { http, graphql: graphql.into(), token: viewer.token.clone(), member: member.into() })
    }

    /// Asks for a check; comes back with the acknowledgement. `key` is new each time.
    pub(crate) async fn request(&self, key: &str) -> Result<Check, String> {
        let input = json!({
            "memberId": self.member,
            "payerId": "60054",
            "provider": { "npi": "1234567893", "organizationName": "Harbor Family Clinic" },
            "subscriber": {
                "memberId": "AETNA12345", "firstName": "Ada", "lastName": "Quill", "dateOfBirth": "1984-02-29",
            },
        });
        let check = self.ask(REQUEST, json!({ "input": input, "key": key })).await?;
        if check.state == "ACCEPTED" { Ok(check) } else { Err(format!("acknowledged as {}", check.state)) }
    }

    pub(crate) async fn read(&self, id: &str) -> Result<Check, String> {
        self.ask(READ, json!({ "id": id })).await
    }

    async fn ask(&self, query: &str, variables: Value) -> Result<Check, String> {
        let body = json!({ "query": query, "variables": variables });
        let response = self.http.post(&self.graphql).bearer_auth(&self.token).json(&body).send();
        let response = response.await.map_err(|error| error.to_string())?;
        let answer: Answer = response.json().await.map_err(|error| error.to_string())?;
        match answer {
            Answer { data: Some(Data { check: Some(check) }), errors: None } => Ok(check),
            Answer { errors, .. } => Err(errors.unwrap_or_default().to_string()),
        }
    }
}

/// What has gone by on the machine's clock since the server stamped `at`.
pub(crate) fn since(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}
