//! The objects and enums that mirror the messages of `proto/`.

// Generated code spells out what a person would shorten.
#![allow(unused_variables, clippy::all)]

use async_graphql::{Enum, ID, SimpleObject, Union};

use super::{Date, DateTime, Decimal, Labelled, See};
use crate::{
    access::{Label, Mask, Payload, Sensitivities, Visibilities},
    proto as pb,
};

include!(concat!(env!("OUT_DIR"), "/graphql.rs"));

/// Something that happened, as any channel tells it.
#[derive(Debug, Clone, SimpleObject)]
pub struct Event {
    pub id: ID,
    /// The payload's full name, e.g. `sluice.eligibility.v1.EligibilityCheckAnswered`.
    pub r#type: String,
    /// The path that it travelled on.
    pub channel: String,
    pub occurred_at: Option<DateTime>,
    /// What it is about.
    pub subject: EventSubject,
    pub payload: EventPayload,
}

/// What an event is about.
#[derive(Debug, Clone, SimpleObject)]
pub struct EventSubject {
    /// E.g. `EligibilityCheck`.
    pub r#type: String,
    pub id: ID,
}
