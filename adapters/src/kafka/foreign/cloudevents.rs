//! CloudEvents 1.0 over Kafka: the Kafka Protocol Binding, sections 3.2 (binary mode) and 3.3 (structured mode, in the
//! JSON Event Format).

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};

use super::{
    event::{Data, ForeignEvent, Rejection, undecodable},
    record::Record,
};

type Attributes = BTreeMap<String, String>;

pub(super) fn decode(record: &Record) -> Result<ForeignEvent, Rejection> {
    let content_type = text(record.header("content-type"))?.unwrap_or_default();
    let media = media_type(&content_type);
    if media == "application/cloudevents+json" {
        structured(record.value())
    } else if media.starts_with("application/cloudevents") {
        Err(undecodable("of the structured modes only application/cloudevents+json is read"))
    } else {
        binary(record, media)
    }
}

fn binary(record: &Record, mut media: String) -> Result<ForeignEvent, Rejection> {
    let mut attributes = Attributes::new();
    for (name, value) in &record.headers {
        let Some(name) = name.strip_prefix("ce_") else { continue };
        let value = text(value.as_deref())?.ok_or_else(|| undecodable("an attribute has no value"))?;
        if attributes.insert(name.to_owned(), value).is_some() {
            return Err(undecodable("an attribute is there twice"));
        }
    }
    if media.is_empty() {
        media = "application/json".into();
    }
    event(attributes, data(&media, record.value().to_vec())?)
}

fn structured(value: &[u8]) -> Result<ForeignEvent, Rejection> {
    let parsed: Value = serde_json::from_slice(value).map_err(|_| undecodable("the value is not JSON"))?;
    let Value::Object(mut object) = parsed else { return Err(undecodable("the value is not a JSON object")) };
    let data = structured_data(&mut object)?;
    let mut attributes = Attributes::new();
    for (name, value) in object {
        match value {
            Value::String(text) => attributes.insert(name, text),
            // Extensions may be booleans and integers; what the specification names is text.
            Value::Bool(_) | Value::Number(_) if !is_core(&name) => attributes.insert(name, value.to_string()),
            Value::Null => None,
            _ => return Err(undecodable("an attribute is of the wrong type")),
        };
    }
    event(attributes, data)
}

fn structured_data(object: &mut Map<String, Value>) -> Result<Data, Rejection> {
    let media = match object.get("datacontenttype") {
        Some(Value::String(text)) => media_type(text),
        _ => "application/json".into(),
    };
    match (object.remove("data"), object.remove("data_base64")) {
        (Some(json), None) if is_json(&media) => data(&media, json.to_string().into_bytes()),
        (None, Some(Value::String(text))) => {
            let bytes = BASE64_STANDARD.decode(text).map_err(|_| undecodable("data_base64 is not base64"))?;
            data(&media, bytes)
        }
        _ => Err(undecodable("there is not just one of data (JSON) and data_base64")),
    }
}

fn event(attributes: Attributes, data: Data) -> Result<ForeignEvent, Rejection> {
    let required = |name: &str, lacks: &str| {
        attributes.get(name).filter(|value| !value.is_empty()).cloned().ok_or_else(|| undecodable(lacks))
    };
    if required("specversion", "specversion is missing")? != "1.0" {
        return Err(undecodable("specversion is not 1.0"));
    }
    let time = attributes.get("time").map(|time| time.parse()).transpose();
    Ok(ForeignEvent {
        id: required("id", "id is missing")?,
        source: required("source", "source is missing")?,
        r#type: required("type", "type is missing")?,
        time: time.map_err(|_| undecodable("time is not RFC 3339"))?,
        attributes,
        data,
    })
}

fn data(media: &str, bytes: Vec<u8>) -> Result<Data, Rejection> {
    match media {
        "application/protobuf" | "application/x-protobuf" => Ok(Data::Protobuf(bytes)),
        media if is_json(media) => Ok(Data::Json(bytes)),
        _ => Err(undecodable("the data is neither JSON nor protobuf")),
    }
}

fn is_json(media: &str) -> bool {
    media == "application/json" || media == "text/json" || media.ends_with("+json")
}

fn is_core(name: &str) -> bool {
    matches!(name, "id" | "source" | "specversion" | "type" | "subject" | "time" | "datacontenttype" | "dataschema")
}

/// Without its parameters, in lower case.
fn media_type(text: &str) -> String {
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn text(value: Option<&[u8]>) -> Result<Option<String>, Rejection> {
    let text = value.map(|bytes| String::from_utf8(bytes.to_vec())).transpose();
    text.map_err(|_| undecodable("a header is not UTF-8"))
}
