//! What subscriptions show: everything, or little, so that viewers with different rights share bytes.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use sluice_schema::access::{Demand, MessageTable, Payload, table};

use crate::render::{JsonProjection, Projection, RenderError, Renderer, Seen};

/// The same part of an event under two names, and the whole of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    Whole,
    Which,
    Group(&'static str),
}

pub(super) const SHAPES: [Shape; 4] = [Shape::Whole, Shape::Which, Shape::Group("one"), Shape::Group("other")];

impl Shape {
    pub(super) fn projection(self) -> Arc<dyn Projection> {
        match self {
            Self::Whole => Arc::new(JsonProjection),
            _ => Arc::new(Brief { shape: self, key: format!("{self:?}").into(), demand: self.demand() }),
        }
    }

    /// What it depends on.
    pub(super) fn demand(self) -> Demand {
        let table = table("sluice.eligibility.v1.EligibilityCheckChanged").expect("is annotated");
        match self {
            Self::Whole => JsonProjection.demand(table).clone(),
            Self::Which => table.demand(&BTreeSet::new()),
            Self::Group(_) => table.demand(&["after", "coverage", "groupNumber"].into()),
        }
    }
}

struct Brief {
    shape: Shape,
    key: Arc<str>,
    demand: Demand,
}

impl Projection for Brief {
    fn key(&self) -> &Arc<str> {
        &self.key
    }

    fn shows(&self, _event_type: &str) -> bool {
        true
    }

    fn demand(&self, _payload: &'static MessageTable) -> &Demand {
        &self.demand
    }

    fn renderer(&self) -> Box<dyn Renderer> {
        Box::new(BriefRenderer(self.shape))
    }
}

struct BriefRenderer(Shape);

#[async_trait]
impl Renderer for BriefRenderer {
    async fn render(&mut self, seen: &Seen, cursor: &str) -> Result<Bytes, RenderError> {
        let id = seen.event.recorded.subject().id;
        let mut shown = json!({ "cursor": cursor, "subject": { "id": id }, "shape": format!("{:?}", self.0) });
        if let (Shape::Group(name), Payload::EligibilityCheckChanged(changed)) = (self.0, &*seen.payload) {
            let coverage = changed.after.as_ref().and_then(|after| after.coverage.as_ref());
            shown[name] = json!(coverage.and_then(|coverage| coverage.group_number.as_ref()));
        }
        Ok(shown.to_string().into())
    }
}
