//! What happened in a run, as those who took part in it saw it. All instants are of this machine's one clock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use sluice_schema::access::{Mask, Sensitivities, Visibilities};
use sluice_subscriptions::relationships::{Check, Update};

use crate::installation::Home;

/// When something was asked for, and when it was answered: it became true in between.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) sent: Timestamp,
    pub(crate) answered: Timestamp,
}

/// Who made a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Through {
    /// A gateway, by a mutation.
    Gateway(usize),
    /// Somebody else, who wrote relationships where the gateways read them.
    Others,
}

/// One after another.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) updates: Vec<Update>,
    pub(crate) through: Through,
    pub(crate) at: Span,
}

/// An event. They are told apart by their place in [`History::events`], which is in the id of the check that each is about.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// The place of the member in [`super::people::MEMBERS`].
    pub(crate) member: usize,
    pub(crate) at: Span,
}

/// The id of the check that an event is about, and the event that it is the id of.
pub(crate) fn check_id(event: usize) -> String {
    format!("ec-{event}")
}

pub(crate) fn event_of(check_id: &str) -> Option<usize> {
    check_id.strip_prefix("ec-")?.parse().ok()
}

/// An event at a viewer.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) event: usize,
    /// For each field that was [selected](super::people::selected), whether there was a value.
    pub(crate) shown: Vec<bool>,
    pub(crate) cursor: String,
    pub(crate) at: Timestamp,
}

/// What one viewer was sent of one member, by one subscription after another: each begins behind the last event.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    /// The place in [`super::people::PEOPLE`].
    pub(crate) person: usize,
    pub(crate) member: usize,
    /// The gateway that she is connected to.
    pub(crate) gateway: usize,
    pub(crate) deliveries: Vec<Delivery>,
    /// When each of her subscriptions that she was served by ended because she may see nothing any more; none: it was still
    /// there at the end.
    pub(crate) subscribed: Vec<Option<Timestamp>>,
}

/// What the real parts answered when they were asked to heed everything that was written.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    pub(crate) checks: Vec<Check>,
    pub(crate) allowed: Vec<bool>,
    pub(crate) at: Span,
}

/// By cursor: who received it, and what the trail says that she could see.
pub(crate) type Records = BTreeMap<String, Vec<(String, Mask)>>;

#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) changes: Vec<Change>,
    pub(crate) answers: Vec<Answers>,
    pub(crate) events: Vec<Event>,
    pub(crate) watched: Vec<Watched>,
    /// The gateway that did not hear of changes for a while.
    pub(crate) troubled: Option<usize>,
    pub(crate) records: Records,
}

/// Every delivery that the audit trail tells of.
pub(crate) async fn records(home: &Home) -> Records {
    let audiences = home.audit_audiences().await;
    let mut records = Records::new();
    for body in home.audit_bodies().await {
        let record: Value = serde_json::from_str(&body).expect("a record is JSON");
        if record["action"] != "deliver" {
            continue;
        }
        let recipients = match record["audience"].as_str() {
            Some(name) => serde_json::from_str(&audiences[name]).expect("an audience is JSON"),
            None => record["recipients"].clone(),
        };
        let received = records.entry(record["cursor"].as_str().expect("a cursor").to_owned()).or_default();
        for recipient in recipients.as_array().expect("a list") {
            let seen = recipient.get("seen").unwrap_or(&record["seen"]);
            received.push((recipient["user"].as_str().expect("a user").to_owned(), mask(seen)));
        }
    }
    records
}

fn mask(seen: &Value) -> Mask {
    let bits = |name: &str| seen[name].as_u64().and_then(|bits| u8::try_from(bits).ok()).expect("bits");
    Mask {
        visibilities: Visibilities::from_bits(bits("visibilities")),
        sensitivities: Sensitivities::from_bits(bits("sensitivities")),
    }
}
