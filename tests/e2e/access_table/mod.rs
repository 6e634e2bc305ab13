//! Who sees what: each demo person, each field of the same event, each way out of the process.

mod cells;
mod shown;
mod ways;

use std::collections::BTreeSet;

use serde_json::json;

use self::{
    cells::{ANSWERED, Cells, FAILED, REJECTED},
    shown::Shown,
};
use crate::harness::{Frame, MEMBER, RICH, Server, WATCH, code, gateway, question};

const PEOPLE: [&str; 5] = ["member", "guardian", "nurse", "billing", CHILDS_GUARDIAN];

/// Nobody to the demo member, until she is as a child to her.
const CHILDS_GUARDIAN: &str = "stranger";

const GRANT: &str = "mutation($input: GrantAccessInput!) { grantAccess(input: $input) { granted } }";

/// The member's column.
const MEMBERS: usize = 0;

/// What of the answer is in the bytes that go to those who see it, and in no byte that goes to the others; cells as in
/// [`cells`].
const MARKS: Cells = &[
    ("Oakenshaw", "MGNBC"),
    ("Harbor PPO 1500", "MGNBC"),
    ("AETNA12345", "M..B."),
    ("1987-03-09", "M.NB."),
    ("2026-05-04", "M.NB."),
    ("1999999984", "M.NB."),
    ("Quillfeather", "M.NB."),
    ("u-nurse", "M..B."),
    ("HP-1500", "M..B."),
    ("Kestrel Boatworks", "MG.BC"),
    ("KB-0417", "M..B."),
    ("2026-12-31", "MG.BC"),
    ("\"620\"", "MG.BC"),
    ("20 visits a year.", "M.NB."),
    ("Larkspur Mutual", "M..B."),
    // Among all benefits, and among those of substance use.
    ("Co-Insurance", "M..BC"),
    ("30 sessions a year.", "M.N.."),
    ("\"MH\"", "M.N.C"),
    ("\"AI\"", "M...C"),
    ("\"69\"", "M.N.C"),
];

/// A check that has come to its end: its id, and a cursor before its first event.
async fn finished(server: &Server, card: (&str, &str), state: &str) -> (String, String) {
    let nurse = server.viewer("nurse");
    let before = nurse.now().await;
    let mut ws = nurse.connect().await;
    ws.subscribe("w", WATCH, json!({ "member": MEMBER, "after": before })).await;
    nurse.request(question(card), "k-1").await;
    loop {
        let payload = ws.next_for("w").await;
        let check = &payload["data"]["memberEligibility"];
        if check["state"] != "ACCEPTED" {
            assert_eq!(check["state"], state);
            return (check["id"].as_str().unwrap().to_owned(), before);
        }
    }
}

async fn guards_a_child(server: &Server) {
    for relation in ["GUARDIAN", "GUARDIAN_OF_CHILD"] {
        let input = json!({ "memberId": MEMBER, "relation": relation, "userId": format!("u-{CHILDS_GUARDIAN}") });
        let granted = server.graphql("registrar", GRANT, json!({ "input": input })).await;
        assert_eq!(granted["data"]["grantAccess"]["granted"], true, "{granted}");
    }
}

/// `whole` is what the member sees on the same way.
fn assert_cells(shown: &Shown, whole: &Shown, column: usize, cells: Cells, who: &str) {
    let (held, open): (Vec<_>, Vec<_>) = cells.iter().partition(|(_, who_sees)| cells::is_held(who_sees, column));
    for (path, _) in &held {
        let values = shown.values(path);
        assert!(values.iter().all(|value| value.is_null()), "{who} sees {path}: {values:?}");
    }
    for (path, who_sees) in &open {
        let values = shown.values(path);
        match cells::is_held(who_sees, MEMBERS) {
            true => assert!(values.iter().any(|value| !value.is_null()), "{who} does not see {path}"),
            false => assert_eq!(shown.leaves(path), whole.leaves(path), "{who} does not see {path} as it is"),
        }
    }
    let is_under = |path: &str, above: &str| path.strip_prefix(above).is_some_and(|rest| rest.starts_with('.'));
    // Nothing is held back of an element where a list has none.
    let is_there = |path: &str| path.rsplit_once('.').is_none_or(|(above, _)| whole.has_fields(above));
    let highest =
        held.iter().filter(|(path, _)| !held.iter().any(|(above, _)| is_under(path, above)) && is_there(path));
    let expected: BTreeSet<_> = highest.map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(shown.redacted(), &expected, "what {who} is told to be held back");
}

async fn assert_everywhere(card: (&str, &str), state: &str, cells: Cells, marks: Cells) {
    let server = gateway().await;
    guards_a_child(&server).await;
    let (id, before) = finished(&server, card, state).await;
    let whole = ways::all(&server, PEOPLE[MEMBERS], &id, &before, cells).await;
    for (column, person) in PEOPLE.into_iter().enumerate() {
        let seen = ways::all(&server, person, &id, &before, cells).await;
        for ((way, shown), (_, whole)) in seen.iter().zip(&whole) {
            let who = format!("{person}, by {way},");
            assert_cells(shown, whole, column, cells, &who);
            for (mark, who_sees) in marks {
                assert_eq!(!shown.raw().contains(mark), cells::is_held(who_sees, column), "{who} and {mark}");
            }
        }
    }
}

#[tokio::test]
async fn each_person_sees_her_fields_of_an_answer_on_every_way() {
    assert_everywhere(RICH, "ANSWERED", ANSWERED, MARKS).await;
}

#[tokio::test]
async fn each_person_sees_her_fields_of_a_rejection_on_every_way() {
    assert_everywhere(("87726", "UHCAAA72"), "REJECTED", REJECTED, &[("Loop 2100C", "...B.")]).await;
}

#[tokio::test]
async fn each_person_sees_why_no_answer_came_on_every_way() {
    assert_everywhere(("SLUICE", "GARBLED"), "FAILED", FAILED, &[("PAYER_UNREADABLE", "MGNBC")]).await;
}

/// What the member sees holds every field that there is: a new one must get its row.
#[tokio::test]
async fn the_table_has_a_row_for_each_field() {
    for (card, state, cells) in [(RICH, "ANSWERED", ANSWERED), (("87726", "UHCAAA72"), "REJECTED", REJECTED)] {
        let server = gateway().await;
        let (id, before) = finished(&server, card, state).await;
        let shown = ways::long_poll(&server, "member", &id, &before).await;
        let rows: BTreeSet<_> = cells.iter().map(|(path, _)| (*path).to_owned()).collect();
        let without_a_row: Vec<_> = shown.paths().difference(&rows).cloned().collect();
        assert_eq!(without_a_row, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_stranger_gets_nothing_and_hears_that_there_is_nothing() {
    let server = gateway().await;
    let (id, before) = finished(&server, RICH, "ANSWERED").await;
    let stranger = server.viewer("stranger");

    let nothing = [
        (ways::check_query(ANSWERED), json!({ "eligibilityCheck": null })),
        (ways::entity_query(ANSWERED), json!({ "_entities": [null] })),
    ];
    for (query, data) in nothing {
        let answer = stranger.graphql(&query, json!({ "id": id })).await;
        assert_eq!((code(&answer), &answer["data"]), ("NOT_FOUND", &data));
    }
    let mut ws = stranger.connect().await;
    ws.subscribe("w", WATCH, json!({ "member": MEMBER, "after": before })).await;
    let Frame::Error(errors) = ws.frame_for("w").await else { panic!("{:?}", ws.log()) };
    assert_eq!(errors[0]["extensions"]["code"], "NOT_FOUND");

    // Channels pass over in silence what one may not see; the cursor moves on behind it.
    ws.subscribe("e", &ways::events_subscription(ANSWERED), json!({ "after": before })).await;
    let polled =
        stranger.poll(&format!("/members/{MEMBER}/**"), Some(&before), std::time::Duration::from_secs(1)).await;
    assert_eq!(polled["events"], json!([]));
    assert_ne!(polled["cursor"], before);
    ws.ping().await;
    assert!(!ws.log().iter().any(|frame| frame.contains("\"next\"") || frame.contains(&id)), "{:?}", ws.log());
}
