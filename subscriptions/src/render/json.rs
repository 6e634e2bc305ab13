//! Events as JSON: the canonical mapping of protobuf, for transports that do not speak GraphQL.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use async_trait::async_trait;
use bytes::Bytes;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};
use serde_json::json;
use sluice_schema::{
    access::{Demand, MESSAGES, Mask, MessageTable},
    proto::DESCRIPTORS,
};

use super::{Projection, RenderError, Renderer, Seen};

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).expect("the descriptors were encoded by this build"));
static DEMANDS: LazyLock<HashMap<&'static str, Demand>> =
    LazyLock::new(|| MESSAGES.iter().map(|table| (table.name, table.demand_of_all())).collect());
static NOTHING: LazyLock<Demand> = LazyLock::new(Demand::default);
static KEY: LazyLock<Arc<str>> = LazyLock::new(|| "json".into());

/// Everything that the viewer may see of every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonProjection;

impl Projection for JsonProjection {
    fn key(&self) -> &Arc<str> {
        &KEY
    }

    fn shows(&self, _event_type: &str) -> bool {
        true
    }

    fn demand(&self, payload: &'static MessageTable) -> &Demand {
        // Every annotated message is there.
        DEMANDS.get(payload.name).unwrap_or(&NOTHING)
    }

    fn renderer(&self) -> Box<dyn Renderer> {
        Box::new(Self)
    }
}

#[async_trait]
impl Renderer for JsonProjection {
    async fn render(&mut self, seen: &Seen, cursor: &str) -> Result<Bytes, RenderError> {
        let header = &seen.event.recorded.header;
        let message = dynamic(seen)?;
        let payload = serde_json::to_value(&message).map_err(|error| RenderError(error.to_string()))?;
        let subject = header.subject.as_ref();
        let mut event = json!({
            "cursor": cursor,
            "id": header.event_id,
            "type": header.r#type,
            "channel": header.channel,
            "occurredAt": header.occurred_at.map(|at| at.to_string()),
            "subject": subject.map(|subject| json!({ "type": subject.r#type, "id": subject.id })),
            "payload": payload,
        });
        let redacted = held_back(&message, seen.payload.table(), seen.mask);
        if let (Some(event), false) = (event.as_object_mut(), redacted.is_empty()) {
            event.insert("redacted".into(), redacted.into());
        }
        serde_json::to_vec(&event).map(Bytes::from).map_err(|error| RenderError(error.to_string()))
    }
}

fn dynamic(seen: &Seen) -> Result<DynamicMessage, RenderError> {
    let name = seen.payload.table().name;
    let descriptor = POOL.get_message_by_name(name).ok_or_else(|| RenderError(format!("no descriptor of {name}")))?;
    DynamicMessage::decode(descriptor, seen.payload.encode().as_slice()).map_err(|error| RenderError(error.to_string()))
}

/// The paths that the mask does not open, below what is there, as JSON names and indices from the payload down. By label
/// alone: that there is a value may be the secret.
fn held_back(message: &DynamicMessage, table: &MessageTable, mask: Mask) -> Vec<serde_json::Value> {
    let mut paths = Vec::new();
    walk(message, table, mask, &mut vec!["payload".into()], &mut paths);
    paths
}

fn walk(
    message: &DynamicMessage,
    table: &MessageTable,
    mask: Mask,
    path: &mut Vec<serde_json::Value>,
    paths: &mut Vec<serde_json::Value>,
) {
    for entry in table.fields {
        path.push(entry.json_name.into());
        if !mask.sees(entry.label) {
            paths.push(path.clone().into());
        } else if let (Some(nested), Some(field)) = (entry.message, message.descriptor().get_field_by_name(entry.name))
        {
            match &*message.get_field(&field) {
                Value::Message(part) if message.has_field(&field) => walk(part, nested, mask, path, paths),
                Value::List(parts) => {
                    for (index, part) in parts.iter().enumerate().filter_map(|(i, part)| Some((i, part.as_message()?)))
                    {
                        path.push(index.into());
                        walk(part, nested, mask, path, paths);
                        path.pop();
                    }
                }
                _ => {}
            }
        }
        path.pop();
    }
}
