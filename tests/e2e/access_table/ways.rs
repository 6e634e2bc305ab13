//! Every way on which a check leaves the process.

use serde_json::{Value, json};

use super::{cells::Cells, shown::Shown};
use crate::harness::{DEADLINE, MEMBER, Server};

/// The fields of the table as a GraphQL selection.
fn selection(cells: Cells) -> String {
    let mut text = String::new();
    let mut open: Vec<&str> = Vec::new();
    for (path, _) in cells {
        let segments: Vec<_> = path.split('.').collect();
        let (name, parents) = segments.split_last().unwrap();
        while open.len() > parents.len() {
            open.pop();
            text.push_str("} ");
        }
        if parents.len() > open.len() {
            open.push(parents[open.len()]);
            text.push_str("{ ");
        }
        text.push_str(name);
        text.push(' ');
    }
    let closing = "} ".repeat(open.len());
    // What nothing is selected of needs a selection all the same.
    let text = format!("{{ {text}{closing}}}");
    ["rejections", "failure", "coverage"].iter().fold(text, |text, name| {
        let bare = format!(" {name} ");
        if text.contains(&format!("{bare}{{")) {
            text
        } else {
            text.replace(&bare, &format!("{bare}{{ __typename }} "))
        }
    })
}

pub(super) fn check_query(cells: Cells) -> String {
    format!("query($id: ID!) {{ eligibilityCheck(id: $id) {} }}", selection(cells))
}

pub(super) fn entity_query(cells: Cells) -> String {
    let representations = r#"[{ __typename: "EligibilityCheck", id: $id }]"#;
    let fields = selection(cells);
    format!(
        "query($id: ID!) {{ _entities(representations: {representations}) {{ ... on EligibilityCheck {fields} }} }}"
    )
}

fn member_subscription(cells: Cells) -> String {
    let fields = selection(cells);
    format!("subscription($after: Cursor) {{ memberEligibility(memberId: \"{MEMBER}\", after: $after) {fields} }}")
}

pub(super) fn events_subscription(cells: Cells) -> String {
    let fields = selection(cells);
    format!(
        "subscription($after: Cursor) {{ events(channel: \"/members/{MEMBER}/**\", after: $after) {{
            payload {{ ... on EligibilityCheckChanged {{ after {fields} }} }}
        }} }}"
    )
}

/// The check in its last state, on every way, always in the same order.
pub(super) async fn all(
    server: &Server,
    person: &str,
    id: &str,
    before: &str,
    cells: Cells,
) -> Vec<(&'static str, Shown)> {
    let (of_member, of_channel) = (member_subscription(cells), events_subscription(cells));
    let (in_member, in_channel) = ("memberEligibility", "events.payload.after");
    vec![
        ("a query", query(server, person, id, &check_query(cells), "eligibilityCheck").await),
        ("_entities", query(server, person, id, &entity_query(cells), "_entities").await),
        ("memberEligibility", subscription(server, person, before, &of_member, in_member).await),
        ("events", subscription(server, person, before, &of_channel, in_channel).await),
        ("a long poll", long_poll(server, person, id, before).await),
    ]
}

async fn query(server: &Server, person: &str, id: &str, query: &str, root: &str) -> Shown {
    let answer = server.graphql(person, query, json!({ "id": id })).await;
    assert_eq!(answer["errors"], Value::Null);
    Shown::new(below(&answer["data"], root), &answer["extensions"]["redacted"], root, answer.to_string())
}

async fn subscription(server: &Server, person: &str, before: &str, query: &str, root: &str) -> Shown {
    let mut ws = server.viewer(person).connect().await;
    ws.subscribe("s", query, json!({ "after": before })).await;
    loop {
        let payload = ws.next_for("s").await;
        let check = below(&payload["data"], root);
        if is_last(&check["state"]) {
            return Shown::new(check, &payload["extensions"]["redacted"], root, ws.log().concat());
        }
    }
}

pub(super) async fn long_poll(server: &Server, person: &str, id: &str, before: &str) -> Shown {
    let polled = server.poll(person, &format!("/members/{MEMBER}/**"), Some(before), DEADLINE).await;
    let mut events = polled["events"].as_array().unwrap_or_else(|| panic!("no events: {polled}")).iter();
    let event = events.rfind(|event| is_last(&event["payload"]["after"]["state"]));
    let event = event.unwrap_or_else(|| panic!("it ends in {polled}"));
    assert_eq!(event["subject"]["id"], id);
    Shown::new(&event["payload"]["after"], &event["redacted"], "payload.after", polled.to_string())
}

/// In GraphQL's words, or in the canonical JSON of protobuf.
fn is_last(state: &Value) -> bool {
    state.as_str().is_some_and(|state| !state.ends_with("ACCEPTED"))
}

/// Through the one element of each list.
fn below<'v>(data: &'v Value, root: &str) -> &'v Value {
    root.split('.').fold(data, |value, name| match &value[name] {
        Value::Array(all) => &all[0],
        other => other,
    })
}
