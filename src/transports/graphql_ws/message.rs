//! The messages as text: what a client may send, and what it is sent.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use sluice_schema::{ids::SubscriptionName, position::Cursor};

use super::super::{GraphqlRequest, bearer, config::TransportConfig};

/// The longest operation id, in bytes. The protocol sets no bound; clients use UUIDs.
const MAX_ID: usize = 1024;

/// A message from a client.
#[derive(Debug)]
pub(super) enum ClientMessage<'a> {
    /// With the token, if there is one, and the name that the client goes by. Nothing else of its payload is read.
    ConnectionInit {
        token: Option<String>,
        durable: Option<SubscriptionName>,
    },
    /// A ping with a newer token; `None` where what it has as `authorization` is none.
    Renew(Option<String>),
    /// With its payload, which is sent back as it is, unless it says something.
    Ping(Option<&'a RawValue>, Option<Progress>),
    Pong(Option<Progress>),
    Subscribe {
        id: String,
        request: GraphqlRequest,
    },
    Complete {
        id: String,
    },
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    id: Option<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// What a client that goes by a name says of where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// The text of a cursor: it is done with everything up to there.
    Acknowledge(String),
    /// It gives its name up.
    Forget,
}

#[derive(Deserialize)]
struct InitPayload {
    #[serde(alias = "Authorization")]
    authorization: Option<Value>,
    durable: Option<SubscriptionName>,
}

#[derive(Deserialize)]
struct RenewalPayload {
    #[serde(alias = "Authorization")]
    authorization: Option<Value>,
}

#[derive(Deserialize)]
struct ProgressPayload {
    acknowledge: Option<String>,
    #[serde(default)]
    forget: bool,
}

/// Reads a message. The error says what is wrong, and repeats nothing of it: it goes into a close reason.
pub(super) fn parse(text: &str) -> Result<ClientMessage<'_>, &'static str> {
    if !is_object(text) {
        return Err("it must be a JSON object");
    }
    let wire: Wire<'_> = serde_json::from_str(text)
        .map_err(|_| "it must be JSON with `type` (a string), `id` (a string) and `payload` (an object)")?;
    if wire.payload.is_some_and(|payload| !is_object(payload.get())) {
        return Err("`payload` must be an object");
    }
    match &*wire.kind {
        "connection_init" => init(wire.payload),
        "ping" => Ok(ping_of(wire.payload)),
        "pong" => Ok(ClientMessage::Pong(progress(wire.payload))),
        "subscribe" => Ok(ClientMessage::Subscribe { id: id(wire.id)?, request: request(wire.payload)? }),
        "complete" => Ok(ClientMessage::Complete { id: id(wire.id)? }),
        _ => Err("its `type` is not one that a client sends"),
    }
}

/// The derived readers would take an array as the fields in order.
fn is_object(json: &str) -> bool {
    json.trim_ascii_start().starts_with('{')
}

fn id(id: Option<String>) -> Result<String, &'static str> {
    match id {
        Some(id) if id.len() > MAX_ID => Err("its `id` is too long"),
        Some(id) if !id.is_empty() => Ok(id),
        _ => Err("it needs an `id`, a string that is not empty"),
    }
}

fn request(payload: Option<&RawValue>) -> Result<GraphqlRequest, &'static str> {
    let payload = payload.ok_or("`subscribe` needs a `payload` with `query`")?;
    GraphqlRequest::parse(payload.get().as_bytes())
}

fn init<'a>(payload: Option<&RawValue>) -> Result<ClientMessage<'a>, &'static str> {
    let Some(payload) = payload else { return Ok(ClientMessage::ConnectionInit { token: None, durable: None }) };
    let InitPayload { authorization, durable } = serde_json::from_str(payload.get())
        .map_err(|_| "the payload of `connection_init` has one `authorization`, and may have a name as `durable`")?;
    Ok(ClientMessage::ConnectionInit { token: token(authorization.as_ref()), durable })
}

fn token(authorization: Option<&Value>) -> Option<String> {
    authorization?.as_str().and_then(bearer::token).map(str::to_owned)
}

/// What has an `authorization` is a renewal, of whatever form that is: a token is never sent back.
fn ping_of(payload: Option<&RawValue>) -> ClientMessage<'_> {
    match payload.map(|payload| serde_json::from_str(payload.get())) {
        Some(Ok(RenewalPayload { authorization: Some(authorization) })) => {
            ClientMessage::Renew(token(Some(&authorization)))
        }
        // It is there twice: the payload was read as an object before.
        Some(Err(_)) => ClientMessage::Renew(None),
        None | Some(Ok(RenewalPayload { authorization: None })) => ClientMessage::Ping(payload, progress(payload)),
    }
}

/// Pings carry whatever a client likes: what is not of this form says nothing.
fn progress(payload: Option<&RawValue>) -> Option<Progress> {
    match serde_json::from_str(payload?.get()).ok()? {
        ProgressPayload { acknowledge: Some(cursor), .. } => Some(Progress::Acknowledge(cursor)),
        ProgressPayload { acknowledge: None, forget: true } => Some(Progress::Forget),
        ProgressPayload { acknowledge: None, forget: false } => None,
    }
}

/// The start of every `next` of one operation; the payload and `}` follow.
pub(super) fn next_head(id: &str) -> String {
    format!(r#"{{"id":{},"type":"next","payload":"#, json!(id))
}

pub(super) fn next(head: &str, payload: &str) -> String {
    [head, payload, "}"].concat()
}

/// The same in parts, of a payload that is a JSON text.
pub(super) fn next_parts<'a>(head: &'a str, payload: &'a [u8]) -> [&'a [u8]; 3] {
    [head.as_bytes(), payload, b"}"]
}

/// `errors` is a JSON array.
pub(super) fn error(id: &str, errors: &str) -> String {
    format!(r#"{{"id":{},"type":"error","payload":{errors}}}"#, json!(id))
}

pub(super) fn complete(id: &str) -> String {
    format!(r#"{{"id":{},"type":"complete"}}"#, json!(id))
}

pub(super) fn pong(payload: Option<&RawValue>) -> String {
    match payload {
        Some(payload) => format!(r#"{{"type":"pong","payload":{payload}}}"#),
        None => r#"{"type":"pong"}"#.to_owned(),
    }
}

/// The answer to a ping that said something: `payload` says what came of it.
pub(super) fn told(payload: &Value) -> String {
    json!({ "type": "pong", "payload": payload }).to_string()
}

/// With how far the named subscriptions are, where that may be told: each may be resumed behind `cursor`.
pub(super) fn ping(progress: Option<(&Cursor, &[String])>) -> String {
    match progress {
        Some((cursor, operations)) => {
            json!({ "type": "ping", "payload": { "cursor": cursor.to_string(), "operations": operations } }).to_string()
        }
        None => r#"{"type":"ping"}"#.to_owned(),
    }
}

/// `connection_ack`, with advice for reconnecting: a random delay between nothing and `baseMs`, doubled by every failure
/// in a row up to `capMs`.
pub(in super::super) fn acknowledgement(config: &TransportConfig) -> String {
    let (base, cap) = (config.retry_base.as_millis() as u64, config.retry_cap.as_millis() as u64);
    let advice = json!({ "baseMs": base, "capMs": cap, "jitter": "full" });
    json!({ "type": "connection_ack", "payload": { "advice": advice } }).to_string()
}

/// The same for a client that goes by a name: with the cursor that it acknowledged last, if there is one.
pub(super) fn acknowledgement_of(plain: &str, name: &SubscriptionName, last: Option<&Cursor>) -> String {
    let mut message: Value = serde_json::from_str(plain).unwrap_or_default();
    message["payload"]["durable"] = json!({ "name": name.as_str(), "acknowledged": last.map(Cursor::to_string) });
    message.to_string()
}
