//! From an event that someone may see to the bytes that she gets.

mod interned;
mod json;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sluice_schema::access::{Demand, Mask, MessageTable, Payload};

pub(crate) use self::interned::Interned;
pub use self::json::JsonProjection;
use crate::opened::OpenedEvent;

/// An event as those with one mask may see it. What the mask does not open is not in `payload` any more.
#[derive(Debug, Clone)]
pub struct Seen {
    pub event: Arc<OpenedEvent>,
    pub payload: Arc<Payload>,
    pub mask: Mask,
}

impl Seen {
    /// Takes out what the mask does not open. `None`: the event as a whole is not for this mask.
    pub fn by(event: &Arc<OpenedEvent>, mask: Mask) -> Option<Self> {
        if !mask.sees(event.payload.table().label) {
            return None;
        }
        let mut payload = event.payload.clone();
        payload.redact(mask);
        Some(Self { event: event.clone(), payload: Arc::new(payload), mask })
    }
}

/// The event can't be rendered: a fault of ours. The text is for the log and holds no values.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RenderError(pub String);

/// What a subscriber wants to see of events, and in which form. Subscribers whose projections have equal keys are
/// rendered together.
pub trait Projection: Send + Sync {
    fn key(&self) -> &Arc<str>;

    /// Whether it shows events of this type at all; others pass unseen.
    fn shows(&self, event_type: &str) -> bool;

    /// Whether such an event has what it shows; one that has not passes unseen, too, and is never given to a renderer.
    fn finds(&self, payload: &Payload) -> bool {
        let _ = payload;
        true
    }

    /// What it depends on what it shows of such an event. Whoever has the same view of it sees the same bytes.
    fn demand(&self, payload: &'static MessageTable) -> &Demand;

    /// A new renderer of this projection.
    fn renderer(&self) -> Box<dyn Renderer>;
}

/// Renders one event after another.
#[async_trait]
pub trait Renderer: Send {
    /// The whole message for one event, the cursor included. Equal input gives equal bytes, whatever was rendered before.
    async fn render(&mut self, seen: &Seen, cursor: &str) -> Result<Bytes, RenderError>;
}
