//! What the store says happened, against what the client was told.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use serde_json::Value;
use sluice_schema::{
    position::{Cursor, ReadVector, Seq},
    proto::header::Header,
};

use super::clients::{CHANGED, CHECKS, EVENTS, Subscriber};
use crate::{harness::run, installation::Home};

const OUTCOMES: [&str; 4] = ["Answered", "Rejected", "Failed", "Cancelled"];

struct Evidence {
    start: ReadVector,
    /// The log: of one member, and so of one partition.
    partition: u16,
    events: BTreeMap<Seq, Header>,
    /// What the client received, in order.
    frames: Vec<Frame>,
    /// How often each (event, cursor) stands in the audit trail as delivered.
    recorded: BTreeMap<(String, String), usize>,
}

/// A frame with a cursor: an event, or (without an operation) progress.
struct Frame {
    cursor: Cursor,
    operation: Option<String>,
    payload: Value,
}

/// What was told since `start` is what happened, to exactly the acknowledged checks, and all of it is on record.
pub(crate) async fn prove(home: &Home, start: &Cursor, subscriber: &Subscriber, acknowledged: BTreeSet<&str>) {
    let evidence = Evidence::read(home, start, &subscriber.log).await;
    evidence.cursors_only_move_on();
    evidence.every_event_came_once_in_order();
    evidence.every_check_was_asked_and_answered_once(acknowledged);
    evidence.everything_delivered_was_recorded_before();
    let verified = run(&["audit", "verify"], home, &[]).await;
    let told = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success() && told.contains("whole"), "{verified:?}");
}

impl Evidence {
    async fn read(home: &Home, start: &Cursor, log: &[String]) -> Self {
        let (partition, events) = read_log(home).await;
        let recorded = read_audit(home).await;
        Self { start: start.vector.clone(), partition, events, frames: frames(log), recorded }
    }

    /// Each event lies behind all that was told before for its operation; progress takes nothing back.
    fn cursors_only_move_on(&self) {
        let mut last = BTreeMap::from([EVENTS, CHECKS].map(|operation| (operation, &self.start)));
        for (number, frame) in self.frames.iter().enumerate() {
            let vector = &frame.cursor.vector;
            for (operation, last) in &mut last {
                let is_event = match &frame.operation {
                    Some(of) if of != operation => continue,
                    operation => operation.is_some(),
                };
                assert!(vector.covers(last), "frame {number} goes back in {operation}: {vector:?} after {last:?}");
                assert!(!is_event || vector != *last, "frame {number} repeats a cursor in {operation}: {vector:?}");
                *last = vector;
            }
        }
    }

    /// The frames of both operations are what the log holds: all of it, once, in its order, each at its cursor.
    fn every_event_came_once_in_order(&self) {
        let events = self.events.iter().map(|(seq, header)| (*seq, header.event_id.as_str()));
        same("an event", events, self.told(EVENTS, "events"));
        let changes = self.events.iter().filter(|(_, header)| header.r#type == CHANGED);
        let changes = changes.map(|(seq, header)| (*seq, subject(header)));
        same("a check's change", changes, self.told(CHECKS, "memberEligibility"));
    }

    /// In the partition: what was told, where.
    fn told<'e>(&'e self, operation: &'e str, field: &'e str) -> impl Iterator<Item = (Seq, &'e str)> {
        let frames = self.frames.iter().filter(move |frame| frame.operation.as_deref() == Some(operation));
        frames.map(move |frame| {
            let id = frame.payload["data"][field]["id"].as_str().expect("the id was asked for, and may be seen");
            (frame.cursor.vector.get(self.partition), id)
        })
    }

    /// Of what the client was told: `acknowledged`, each requested once and finished once, and no other.
    fn every_check_was_asked_and_answered_once(&self, acknowledged: BTreeSet<&str>) {
        let mut counts: BTreeMap<&str, (usize, usize)> = acknowledged.iter().map(|check| (*check, (0, 0))).collect();
        for frame in self.frames.iter().filter(|frame| frame.operation.as_deref() == Some(EVENTS)) {
            let event = &frame.payload["data"]["events"];
            let check = event["subject"]["id"].as_str().expect("each event is about a check");
            let name =
                event["type"].as_str().and_then(|name| name.strip_prefix("sluice.eligibility.v1.EligibilityCheck"));
            let name = name.expect("nothing else happened to the member");
            let count = counts.get_mut(check).unwrap_or_else(|| panic!("{check} was never acknowledged: {event}"));
            count.0 += usize::from(name == "Requested");
            count.1 += usize::from(OUTCOMES.contains(&name));
        }
        for (check, (requested, finished)) in counts {
            assert_eq!((requested, finished), (1, 1), "times that {check} was requested and finished");
        }
    }

    /// Each frame has a record of its own: what both operations showed of an event are two.
    fn everything_delivered_was_recorded_before(&self) {
        let mut delivered: BTreeMap<(&str, String), usize> = BTreeMap::new();
        for frame in self.frames.iter().filter(|frame| frame.operation.is_some()) {
            let event = &self.events[&frame.cursor.vector.get(self.partition)];
            *delivered.entry((&event.event_id, frame.cursor.to_string())).or_default() += 1;
        }
        for ((event, cursor), times) in delivered {
            let recorded = self.recorded.get(&(event.to_owned(), cursor)).copied().unwrap_or(0);
            assert!(recorded >= times, "event {event} was delivered {times} times, and recorded {recorded} times");
        }
    }
}

/// Those with a cursor. Of the pings those that the client, too, took for its operations: behind the pong, which says that
/// the server knows of them.
fn frames(log: &[String]) -> Vec<Frame> {
    let mut known = false;
    let mut frames = Vec::new();
    for text in log {
        let frame: Value = serde_json::from_str(text).expect("the server sends JSON");
        let payload = &frame["payload"];
        let cursor = match frame["type"].as_str() {
            Some("next") => &payload["extensions"]["cursor"],
            Some("ping") if known => &payload["cursor"],
            kind => {
                known = kind == Some("pong");
                continue;
            }
        };
        if let Some(cursor) = cursor.as_str() {
            let cursor = cursor.parse().expect("a cursor is well formed");
            frames.push(Frame { cursor, operation: frame["id"].as_str().map(str::to_owned), payload: payload.clone() });
        }
    }
    frames
}

/// Says where the two part, and not all of both.
fn same<'a>(what: &str, expected: impl Iterator<Item = (Seq, &'a str)>, told: impl Iterator<Item = (Seq, &'a str)>) {
    let (expected, told): (Vec<_>, Vec<_>) = (expected.collect(), told.collect());
    if let Some(at) = (0..expected.len().max(told.len())).find(|at| expected.get(*at) != told.get(*at)) {
        let around =
            |list: &[(Seq, &str)]| format!("{:?}", list.iter().skip(at.saturating_sub(1)).take(4).collect::<Vec<_>>());
        panic!(
            "{what}, the {at}th of {}, is not what came, of {}\n in the log: {}\n received:   {}",
            expected.len(),
            told.len(),
            around(&expected),
            around(&told)
        );
    }
}

fn subject(header: &Header) -> &str {
    header.subject.as_ref().map_or("", |subject| subject.id.as_str())
}

async fn read_log(home: &Home) -> (u16, BTreeMap<Seq, Header>) {
    let stored = home.events().await;
    let partitions: BTreeSet<u16> = stored.iter().map(|(partition, ..)| *partition).collect();
    assert_eq!(partitions.len(), 1, "one member's events are in one partition");
    let events = stored.iter().map(|(_, seq, header)| (*seq, Header::decode(header.as_slice()).unwrap()));
    (stored[0].0, events.collect())
}

async fn read_audit(home: &Home) -> BTreeMap<(String, String), usize> {
    let mut recorded = BTreeMap::new();
    for body in home.audit_bodies().await {
        let record: Value = serde_json::from_str(&body).expect("a record is JSON");
        if record["action"] == "deliver" {
            let text = |name: &str| record[name].as_str().expect("a delivery names its event and cursor").to_owned();
            *recorded.entry((text("event_id"), text("cursor"))).or_default() += 1;
        }
    }
    recorded
}
