//! An event as it is stored and as it is read.

use std::{fmt, sync::Arc};

use crate::{
    position::Position,
    proto::header::{Header, Subject},
    sealed::Sealed,
};

/// The stream of one aggregate: its events in order, from version 1. Unique within a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// E.g. `EligibilityCheck/ec-1`.
    pub fn of(entity_type: &str, id: &str) -> Self {
        Self(format!("{entity_type}/{id}").into())
    }

    pub fn of_subject(subject: &Subject) -> Self {
        Self::of(&subject.r#type, &subject.id)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An event that is to be appended.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// All but `published_at`, which the store sets.
    pub header: Header,
    pub payload: Sealed,
    /// Whether the payload holds the whole state of the header's subject (a `*Changed` event): the store then answers
    /// [`current`](../../sluice_domain/store/trait.EventStore.html) with it.
    pub holds_state: bool,
}

/// An event in the log.
#[derive(Debug, Clone)]
pub struct RecordedEvent {
    pub position: Position,
    /// Its number in its stream, from 1.
    pub version: u64,
    pub header: Header,
    pub payload: Sealed,
}

impl RecordedEvent {
    /// The header's subject; an event without one has an empty one.
    pub fn subject(&self) -> Subject {
        self.header.subject.clone().unwrap_or_default()
    }

    /// About what it takes in memory, in bytes: the header's ids and strings are small beside the payload.
    pub fn size(&self) -> usize {
        const HEADER: usize = 1024;
        HEADER + self.payload.0.len()
    }
}
