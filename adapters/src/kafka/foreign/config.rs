//! What an operator says about a topic of another service.

use serde::Deserialize;
use sluice_schema::ids::TenantId;

/// One topic. `docs/foreign-topics.md` tells it with examples.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignTopic {
    pub topic: String,
    pub format: Format,
    /// What stands before a protobuf value.
    #[serde(default)]
    pub framing: Framing,
    /// Whose events these are. A message that names another tenant is refused.
    pub tenant: TenantId,
    /// The consumer group; readers with the same one share the topic's partitions. `sluice-foreign-<topic>` where nothing
    /// is said.
    #[serde(default)]
    pub group: Option<String>,
    /// How long a reader may be silent before its partitions go to the others, in seconds; the brokers' bounds are 6 to
    /// 1800 by default.
    #[serde(default = "default_session_timeout")]
    pub session_timeout_seconds: u64,
    /// The only sources that may publish; any, where it is empty.
    #[serde(default)]
    pub sources: Vec<String>,
    /// What becomes of a type that `events` does not name.
    #[serde(default)]
    pub unmapped: Unmapped,
    /// What becomes of a JSON field that the message does not have.
    #[serde(default)]
    pub unknown_fields: UnknownFields,
    /// `<topic>.dead-letter` where nothing is said.
    #[serde(default)]
    pub dead_letter_topic: Option<String>,
    #[serde(default)]
    pub events: Vec<EventMapping>,
}

/// How events of one type become ours. Texts with `{…}` are templates over the event's attributes and data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventMapping {
    /// The type as the message names it: CloudEvents' `type`, or the header's.
    pub r#type: String,
    /// Our message, by its full name.
    pub message: String,
    pub subject_type: String,
    pub subject: String,
    /// Just one of these three: whom the event is about.
    #[serde(default)]
    pub member: Option<String>,
    #[serde(default)]
    pub team: Option<String>,
    #[serde(default)]
    pub organization: Option<String>,
    pub channel: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// CloudEvents 1.0, binary and structured mode.
    #[serde(rename = "cloudevents")]
    CloudEvents,
    /// A header of ours (`sluice-header`) and a protobuf message.
    Protobuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    #[default]
    Plain,
    /// Confluent's wire format: a zero byte, the schema's id and the message's index.
    Confluent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmapped {
    #[default]
    DeadLetter,
    Ignore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownFields {
    /// A misspelt field would arrive as an event that lacks it, and nobody would notice.
    #[default]
    Refuse,
    Drop,
}

fn default_session_timeout() -> u64 {
    45
}

impl ForeignTopic {
    pub(super) fn group(&self) -> String {
        self.group.clone().unwrap_or_else(|| format!("sluice-foreign-{}", self.topic))
    }

    pub(super) fn dead_letter_topic(&self) -> String {
        self.dead_letter_topic.clone().unwrap_or_else(|| format!("{}.dead-letter", self.topic))
    }
}

/// What is wrong with a topic's configuration, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the foreign topic {topic}, {key}: {what}")]
pub struct ConfigSentence {
    pub(super) topic: String,
    pub(super) key: String,
    pub(super) what: String,
}
