//! Topics of other services: their events are read, mapped to channels by configuration, and appended to the store.

mod check;
mod cloudevents;
mod config;
mod dead_letter;
mod event;
mod inbox;
mod mapping;
mod protobuf;
mod reader;
mod record;
mod template;
#[cfg(test)]
mod tests;
mod trace;

pub use check::check_all;
pub use config::{ConfigSentence, EventMapping, ForeignTopic, Format, Framing, UnknownFields, Unmapped};
pub use reader::{ForeignError, ForeignReader};
