//! An event from outside, and the rules that it must keep.

use std::sync::LazyLock;

use jiff::Timestamp;
use prost_reflect::{DescriptorPool, DynamicMessage};
use sluice_schema::{
    access::Payload,
    channel::Channel,
    ids::{MemberId, TenantId},
    proto::{
        DESCRIPTORS,
        header::{RoutingKey, Subject, routing_key::Kind},
    },
};

use super::types::is_foreign;
use crate::publish::Cause;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).expect("the build encoded these descriptors"));

/// The longest source and event id, in bytes.
const MAX_SOURCE: usize = 256;
const MAX_ID: usize = 1024;

/// What another system says has happened.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The system that says so: with `id` it names the event for ever. Kept in the clear.
    pub source: String,
    /// The source's own id of the event; kept as an HMAC only, because anything may be in it.
    pub id: String,
    /// The operator's choice, never the event's.
    pub tenant: TenantId,
    /// The payload's full message name.
    pub type_name: String,
    pub subject: Subject,
    pub routing_key: RoutingKey,
    pub channel: Channel,
    /// When the source says nothing, it is the time of publication.
    pub occurred_at: Option<Timestamp>,
    pub cause: Cause,
    /// An encoded message of the type `type_name`.
    pub payload: Vec<u8>,
}

/// Why an event may not enter. Trying again changes nothing. No text holds a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the type is not one that other systems publish")]
    Type,
    #[error("the payload is not a message of its type")]
    Payload,
    #[error("the source must be 1 to {MAX_SOURCE} visible ASCII characters")]
    Source,
    #[error("the event id must be 1 to {MAX_ID} bytes")]
    Id,
    #[error("the subject must have a type and an opaque id")]
    Subject,
    #[error("the routing key must be a member, team or organization with an opaque id")]
    RoutingKey,
    #[error("the channel names another member, team or organization than the routing key")]
    Channel,
    #[error("the payload's member is not the routing key's")]
    Member,
    #[error("the payload can't be encrypted")]
    Sealing,
}

impl Incoming {
    /// The payload as it is stored: in canonical form, unknown fields dropped.
    ///
    /// # Errors
    /// The first rule that the event breaks.
    pub(super) fn check(&self) -> Result<Vec<u8>, Refusal> {
        if !is_foreign(&self.type_name) {
            return Err(Refusal::Type);
        }
        if !(1..=MAX_SOURCE).contains(&self.source.len()) || !self.source.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Refusal::Source);
        }
        if !(1..=MAX_ID).contains(&self.id.len()) {
            return Err(Refusal::Id);
        }
        if !is_opaque(&self.subject.r#type) || !is_opaque(&self.subject.id) {
            return Err(Refusal::Subject);
        }
        if self.routing_key.kind() == Kind::Unspecified || !is_opaque(&self.routing_key.id) {
            return Err(Refusal::RoutingKey);
        }
        if !agrees(&self.channel, &self.routing_key) {
            return Err(Refusal::Channel);
        }
        let payload = Payload::decode(&self.type_name, &self.payload).map_err(|_| Refusal::Payload)?;
        let payload = payload.ok_or(Refusal::Type)?.encode();
        if member(&self.type_name, &payload)?.is_none_or(|member| self.is_of(&member)) {
            Ok(payload)
        } else {
            Err(Refusal::Member)
        }
    }

    fn is_of(&self, member: &str) -> bool {
        self.routing_key.kind() == Kind::Member && self.routing_key.id == member
    }
}

/// Member ids have the narrowest form of all ids.
fn is_opaque(id: &str) -> bool {
    id.parse::<MemberId>().is_ok()
}

/// A channel below `/members/`, `/teams/` or `/organizations/` is about who is next in it.
fn agrees(channel: &Channel, key: &RoutingKey) -> bool {
    let mut segments = channel.segments();
    let kind = match segments.next() {
        Some("members") => Kind::Member,
        Some("teams") => Kind::Team,
        Some("organizations") => Kind::Organization,
        _ => return true,
    };
    key.kind() == kind && segments.next() == Some(key.id.as_str())
}

/// The payload's `member_id`, where messages of its type have one: an event about one member, told as another's, would
/// be shown to those who may see the other.
fn member(type_name: &str, payload: &[u8]) -> Result<Option<String>, Refusal> {
    let descriptor = POOL.get_message_by_name(type_name).ok_or(Refusal::Type)?;
    let Some(field) = descriptor.get_field_by_name("member_id") else { return Ok(None) };
    let message = DynamicMessage::decode(descriptor, payload).map_err(|_| Refusal::Payload)?;
    Ok(message.get_field(&field).as_str().map(str::to_owned))
}
