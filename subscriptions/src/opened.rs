//! An event with its payload in the clear. It exists in memory only.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_schema::{
    access::Payload,
    channel::Channel,
    event::RecordedEvent,
    ids::{MemberId, TenantId},
    proto::header::{RoutingKey, routing_key::Kind},
    sealed::DataKey,
};

#[derive(Debug, thiserror::Error)]
#[error("keys can't be had now: {0}")]
pub struct KeysUnavailable(pub String);

/// Where the keys of payloads come from.
#[async_trait]
pub trait PayloadKeys: Send + Sync {
    /// `None`: there is no such key, or it was erased.
    async fn key(&self, tenant: &TenantId, routing_key: &RoutingKey) -> Result<Option<DataKey>, KeysUnavailable>;
}

/// An event that can be shown, after redaction. Its `Debug` shows nothing of what happened.
#[derive(Debug)]
pub struct OpenedEvent {
    pub recorded: Arc<RecordedEvent>,
    pub tenant: TenantId,
    pub channel: Channel,
    /// Whom it is about, where that is a member.
    pub patient: Option<MemberId>,
    pub payload: Payload,
}

impl OpenedEvent {
    /// Decrypts and reads an event. `None`: its key was erased, or this version does not know its type; whoever reads on
    /// passes it.
    pub async fn open(
        keys: &dyn PayloadKeys,
        recorded: &Arc<RecordedEvent>,
    ) -> Result<Option<Arc<Self>>, KeysUnavailable> {
        let header = &recorded.header;
        let (Ok(tenant), Ok(channel)) = (header.tenant.parse::<TenantId>(), header.channel.parse()) else {
            return Ok(unreadable(recorded, "its header is not of the documented form"));
        };
        let routing_key = header.routing_key.clone().unwrap_or_default();
        let Some(key) = keys.key(&tenant, &routing_key).await? else { return Ok(None) };
        let Ok(bytes) = key.open(header, &recorded.payload) else {
            return Ok(unreadable(recorded, "its payload does not open with its key"));
        };
        let payload = match Payload::decode(&header.r#type, &bytes) {
            Ok(Some(payload)) => payload,
            Ok(None) => return Ok(unreadable(recorded, "its type is not known to this version")),
            Err(_) => return Ok(unreadable(recorded, "its payload is not of its type")),
        };
        let patient = patient(&routing_key);
        Ok(Some(Arc::new(Self { recorded: recorded.clone(), tenant, channel, patient, payload })))
    }
}

fn patient(routing_key: &RoutingKey) -> Option<MemberId> {
    (routing_key.kind() == Kind::Member).then(|| routing_key.id.parse().ok()).flatten()
}

fn unreadable(recorded: &RecordedEvent, why: &str) -> Option<Arc<OpenedEvent>> {
    metrics::counter!("sluice_events_unreadable_total").increment(1);
    tracing::error!(
        event_id = recorded.header.event_id,
        event_type = recorded.header.r#type,
        why,
        "an event is passed over"
    );
    None
}

#[cfg(test)]
mod tests {
    use sluice_schema::{
        position::{Epoch, Position},
        proto::{coverage::CoverageChanged, header::Header},
        sealed::Sealed,
    };

    use super::*;

    #[test]
    fn what_happened_is_named_for_logs_and_not_shown() {
        let position = Position { epoch: Epoch(1), partition: 0, seq: 7 };
        let header = Header { r#type: "sluice.coverage.v1.CoverageChanged".into(), ..Header::default() };
        let sealed = Sealed(b"Quimby".to_vec().into());
        let happened = CoverageChanged { reason: Some("Quimby".into()), ..CoverageChanged::default() };
        let opened = OpenedEvent {
            recorded: Arc::new(RecordedEvent { position, version: 1, header, payload: sealed }),
            tenant: "north".parse().unwrap(),
            channel: "/members/m-1/coverage".parse().unwrap(),
            patient: None,
            payload: Payload::CoverageChanged(Box::new(happened)),
        };
        let told = format!("{opened:?}");
        assert!(told.contains("CoverageChanged(…)") && !told.contains("Quimby"), "{told}");
    }
}
