//! An event of another service, whichever format it came in.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// Why a record goes to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    /// A code of docs/foreign-topics.md.
    pub(super) reason: &'static str,
    /// In words, without any value.
    pub(super) detail: String,
}

pub(super) fn undecodable(detail: &str) -> Rejection {
    Rejection { reason: "undecodable", detail: detail.into() }
}

pub(super) fn refused(detail: impl Into<String>) -> Rejection {
    Rejection { reason: "refused", detail: detail.into() }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    Json(Vec<u8>),
    Protobuf(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ForeignEvent {
    pub(super) id: String,
    pub(super) source: String,
    pub(super) r#type: String,
    pub(super) time: Option<Timestamp>,
    /// All of them, the ones above included, by the names that templates use.
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) data: Data,
}
