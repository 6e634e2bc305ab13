//! From a record to an event that may be published, by a topic's configuration.

use std::{collections::HashMap, sync::LazyLock};

use jiff::Timestamp;
use prost::Message;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor};
use sluice_domain::publishing::{Incoming, is_foreign};
use sluice_schema::{
    channel::Channel,
    proto::{
        DESCRIPTORS,
        header::{RoutingKey, Subject, routing_key::Kind},
    },
};

use super::{
    cloudevents,
    config::{ConfigSentence, EventMapping, ForeignTopic, Format, UnknownFields, Unmapped},
    event::{Data, ForeignEvent, Rejection, refused, undecodable},
    protobuf,
    record::{MAX_VALUE, Record},
    template::Template,
    trace,
};

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).expect("the build encoded these descriptors"));

/// A topic's configuration, checked.
pub(super) struct Mapping {
    topic: ForeignTopic,
    events: HashMap<String, Mapped>,
}

/// How events of one type become ours.
struct Mapped {
    message: MessageDescriptor,
    subject_type: String,
    subject: Template,
    kind: Kind,
    routing_key: Template,
    channel: Template,
}

impl Mapping {
    /// # Errors
    /// What can't be, by topic and key.
    pub(super) fn new(topic: &ForeignTopic) -> Result<Self, ConfigSentence> {
        let sentence = |key: &str, what: String| ConfigSentence { topic: topic.topic.clone(), key: key.into(), what };
        let mut events = HashMap::new();
        for event in &topic.events {
            let key = |key: &str| format!("the events of type {}, {key}", event.r#type);
            let mapped = Mapped::new(event, topic.format).map_err(|(at, what)| sentence(&key(at), what))?;
            if events.insert(event.r#type.clone(), mapped).is_some() {
                return Err(sentence(&key("type"), "it is there twice: leave one".into()));
            }
        }
        if events.is_empty() {
            return Err(sentence("events", "none is mapped: add [[…events]]".into()));
        }
        Ok(Self { topic: topic.clone(), events })
    }

    /// `None`: not for us, and the operator said so.
    ///
    /// # Errors
    /// The record is a dead letter.
    pub(super) fn read(&self, record: &Record) -> Result<Option<Incoming>, Rejection> {
        if record.value().len() > MAX_VALUE {
            return Err(Rejection {
                reason: "too_large",
                detail: format!("the value has more than {MAX_VALUE} bytes"),
            });
        }
        let event = match self.topic.format {
            Format::CloudEvents => cloudevents::decode(record)?,
            Format::Protobuf => protobuf::decode(record, self.topic.framing)?,
        };
        self.admit(&event)?;
        match (self.events.get(&event.r#type), self.topic.unmapped) {
            (Some(mapped), _) => self.incoming(mapped, event, record.timestamp).map(Some),
            (None, Unmapped::Ignore) => Ok(None),
            (None, Unmapped::DeadLetter) => {
                Err(Rejection { reason: "unmapped", detail: "no mapping names the event's type".into() })
            }
        }
    }

    fn admit(&self, event: &ForeignEvent) -> Result<(), Rejection> {
        let sources = &self.topic.sources;
        if !sources.is_empty() && !sources.contains(&event.source) {
            return Err(refused("the source is not one of those configured"));
        }
        match event.attributes.get("tenant") {
            Some(tenant) if tenant != self.topic.tenant.as_str() => Err(refused("it names another tenant")),
            _ => Ok(()),
        }
    }

    fn incoming(&self, mapped: &Mapped, event: ForeignEvent, recorded: Option<i64>) -> Result<Incoming, Rejection> {
        let message = self.message(mapped, &event.data)?;
        let fill = |template: &Template, name: &str| {
            let filled = template.fill(&event.attributes, &message);
            filled.ok_or_else(|| refused(format!("a variable of {name} is missing or not an opaque id")))
        };
        let channel: Result<Channel, _> = fill(&mapped.channel, "channel")?.parse();
        Ok(Incoming {
            subject: Subject { r#type: mapped.subject_type.clone(), id: fill(&mapped.subject, "subject")? },
            routing_key: RoutingKey { kind: mapped.kind.into(), id: fill(&mapped.routing_key, "the routing key")? },
            channel: channel.map_err(|_| refused("the channel is too long"))?,
            type_name: mapped.message.full_name().to_owned(),
            tenant: self.topic.tenant.clone(),
            occurred_at: event.time.or_else(|| Timestamp::from_millisecond(recorded?).ok()),
            cause: trace::cause(&event.attributes),
            payload: message.encode_to_vec(),
            source: event.source,
            id: event.id,
        })
    }

    fn message(&self, mapped: &Mapped, data: &Data) -> Result<DynamicMessage, Rejection> {
        let descriptor = mapped.message.clone();
        match data {
            Data::Protobuf(bytes) => DynamicMessage::decode(descriptor, bytes.as_slice())
                .map_err(|_| undecodable("the data is not the mapped message")),
            Data::Json(bytes) => {
                let refuse = self.topic.unknown_fields == UnknownFields::Refuse;
                let options = DeserializeOptions::new().deny_unknown_fields(refuse);
                let mut json = serde_json::Deserializer::from_slice(bytes);
                let message = DynamicMessage::deserialize_with_options(descriptor, &mut json, &options);
                let message = message.map_err(|_| undecodable("the data is not the JSON of the mapped message"))?;
                json.end().map_err(|_| undecodable("something follows the JSON data"))?;
                Ok(message)
            }
        }
    }
}

impl Mapped {
    fn new(event: &EventMapping, format: Format) -> Result<Self, (&'static str, String)> {
        if !is_foreign(&event.message) {
            return Err(("message", format!("{} is not a message that other systems publish", event.message)));
        }
        let message = POOL.get_message_by_name(&event.message);
        let message = message.ok_or_else(|| ("message", format!("there is no message {}", event.message)))?;
        let (key, kind, routing_key) = routing_key(event)?;
        let parse = |key, text: &str| Template::parse(text, format, &message).map_err(|what| (key, what));
        let mapped = Self {
            subject_type: event.subject_type.clone(),
            subject: parse("subject", &event.subject)?,
            kind,
            routing_key: parse(key, routing_key)?,
            channel: parse("channel", &event.channel)?,
            message,
        };
        mapped.check_channel()?;
        Ok(mapped)
    }

    fn check_channel(&self) -> Result<(), (&'static str, String)> {
        let channel: Channel = self.channel.example().parse().map_err(|error| ("channel", format!("{error}")))?;
        let about = match channel.segments().next() {
            Some("members") => Kind::Member,
            Some("teams") => Kind::Team,
            Some("organizations") => Kind::Organization,
            _ => return Ok(()),
        };
        if about == self.kind {
            Ok(())
        } else {
            Err(("channel", "it is about another kind than the routing key: make both a member, or both a team".into()))
        }
    }
}

fn routing_key(event: &EventMapping) -> Result<(&'static str, Kind, &str), (&'static str, String)> {
    let keys = [
        ("member", Kind::Member, &event.member),
        ("team", Kind::Team, &event.team),
        ("organization", Kind::Organization, &event.organization),
    ];
    let mut given = keys.into_iter().filter_map(|(key, kind, text)| Some((key, kind, text.as_deref()?)));
    match (given.next(), given.next()) {
        (Some(given), None) => Ok(given),
        _ => Err(("member", "name just one of member, team and organization".into())),
    }
}
