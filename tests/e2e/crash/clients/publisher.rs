//! Clients that ask one question after the other, and ask again what was not acknowledged.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Door, Observed};
use crate::harness::{RICH, question};

const LANES: usize = 3;

const REQUEST: &str = "mutation($input: RequestEligibilityCheckInput!, $key: String!) {
    requestEligibilityCheck(input: $input, idempotencyKey: $key) { id }
}";

/// All clients; each has a question under way at any time.
pub(crate) struct Publisher([Lane; LANES]);

#[derive(Default)]
struct Lane {
    number: usize,
    /// The checks that were acknowledged, in order. The key of each is its number.
    checks: Vec<String>,
}

impl Default for Publisher {
    fn default() -> Self {
        Self(std::array::from_fn(|number| Lane { number, ..Lane::default() }))
    }
}

impl Publisher {
    /// Asks until no server is left, or each client has so many more acknowledgements. The clients begin at different
    /// doors.
    pub(crate) async fn ask(&mut self, doors: &[Door], observed: &Observed, more: usize) {
        join_all(self.0.iter_mut().map(|lane| lane.ask(doors, observed, more))).await;
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.0.iter().map(|lane| lane.checks.len()).sum()
    }

    /// The acknowledged checks, by id.
    ///
    /// # Panics
    /// Two keys gave one check.
    pub(crate) fn checks(&self) -> BTreeSet<&str> {
        let checks: BTreeSet<&str> = self.0.iter().flat_map(|lane| &lane.checks).map(String::as_str).collect();
        assert_eq!(checks.len(), self.acknowledged(), "each key has a check of its own");
        checks
    }
}

impl Lane {
    /// Goes on at the next door where a server is gone.
    async fn ask(&mut self, doors: &[Door], observed: &Observed, more: usize) {
        let enough = self.checks.len().saturating_add(more);
        let mut in_vain = 0;
        for door in doors.iter().cycle().skip(self.number) {
            let before = self.checks.len();
            if in_vain == doors.len() || self.ask_at(door, observed, enough).await.is_some() {
                return;
            }
            in_vain = if self.checks.len() == before { in_vain + 1 } else { 1 };
        }
    }

    /// `None` where the server is gone before there is enough.
    async fn ask_at(&mut self, door: &Door, observed: &Observed, enough: usize) -> Option<()> {
        if let Some(last) = self.checks.last() {
            let again = request(door, &self.key(self.checks.len() - 1)).await?;
            assert_eq!(again, *last, "a key that was acknowledged gives the same check again");
        }
        while self.checks.len() < enough {
            // A key that a crash left without an answer is the next one still.
            let check = request(door, &self.key(self.checks.len())).await?;
            self.checks.push(check);
            observed.one_more();
        }
        Some(())
    }

    fn key(&self, number: usize) -> String {
        format!("client-{}-{number}", self.number)
    }
}

/// The check's id; `None` where the server went away before it answered in full.
async fn request(door: &Door, key: &str) -> Option<String> {
    let body = json!({ "query": REQUEST, "variables": { "input": question(RICH), "key": key } });
    let response = door.http.post(&door.graphql).bearer_auth(&door.token).json(&body).send().await.ok()?;
    let answer: Value = serde_json::from_slice(&response.bytes().await.ok()?).expect("an answer is JSON");
    let id = answer["data"]["requestEligibilityCheck"]["id"].as_str();
    Some(id.unwrap_or_else(|| panic!("{key} was refused: {answer}")).to_owned())
}
