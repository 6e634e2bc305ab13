//! Texts with `{…}` that are filled from an event.

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use sluice_schema::ids::MemberId;

use super::{config::Format, protobuf};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Attribute(String),
    /// Fields of the message and of the messages in it.
    Data(Vec<FieldDescriptor>),
}

impl Template {
    /// # Errors
    /// What is wrong with the text, as the end of a sentence.
    pub(super) fn parse(text: &str, format: Format, message: &MessageDescriptor) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or("a '{' is not closed")?;
            parts.push(Part::Text(before.into()));
            parts.push(variable(name, format, message)?);
            rest = after;
        }
        parts.push(Part::Text(rest.into()));
        Ok(Self(parts))
    }

    /// `None`: a value is missing, or is not an opaque id (A-Z, a-z, 0-9, '_', '-'), so that none can add a segment.
    pub(super) fn fill(&self, attributes: &BTreeMap<String, String>, data: &DynamicMessage) -> Option<String> {
        let value = |part: &Part| match part {
            Part::Text(text) => Some(text.clone()),
            Part::Attribute(name) => opaque(attributes.get(name)?.clone()),
            Part::Data(path) => opaque(read(data, path)?),
        };
        self.0.iter().map(value).collect()
    }

    /// With an `x` for each variable.
    pub(super) fn example(&self) -> String {
        self.0.iter().map(|part| if let Part::Text(text) = part { text } else { "x" }).collect()
    }
}

fn variable(name: &str, format: Format, message: &MessageDescriptor) -> Result<Part, String> {
    if let Some(path) = name.strip_prefix("data.") {
        return fields(path, message)
            .map(Part::Data)
            .ok_or(format!("{} has no text field {path}", message.full_name()));
    }
    let is_attribute = match format {
        Format::Protobuf => protobuf::ATTRIBUTES.contains(&name),
        // CloudEvents, section 3.1: lower-case letters and digits; any may be an extension.
        Format::CloudEvents => !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
    };
    if is_attribute { Ok(Part::Attribute(name.into())) } else { Err(format!("{{{name}}} is not a variable")) }
}

/// Along JSON or proto names, to a text.
fn fields(path: &str, message: &MessageDescriptor) -> Option<Vec<FieldDescriptor>> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let field = message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name))?;
    let mut path = vec![field.clone()];
    match (field.kind(), rest) {
        _ if field.is_list() || field.is_map() => None,
        (Kind::String, None) => Some(path),
        (Kind::Message(inner), Some(rest)) => {
            path.extend(fields(rest, &inner)?);
            Some(path)
        }
        _ => None,
    }
}

fn read(message: &DynamicMessage, path: &[FieldDescriptor]) -> Option<String> {
    let (field, rest) = path.split_first()?;
    match message.get_field(field).as_ref() {
        Value::String(text) => Some(text.clone()),
        Value::Message(inner) => read(inner, rest),
        _ => None,
    }
}

fn opaque(value: String) -> Option<String> {
    value.parse::<MemberId>().is_ok().then_some(value)
}
