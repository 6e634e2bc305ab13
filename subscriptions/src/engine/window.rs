//! The events that the shard routed last, in its order.

use std::{collections::VecDeque, sync::Arc};

use sluice_schema::{event::RecordedEvent, position::ReadVector};

/// How many events are remembered: enough for a subscription's last step, not for a resume.
const EVENTS: usize = 1024;

pub(super) struct Window {
    /// Everything that this vector does not cover is in `events`.
    start: ReadVector,
    events: VecDeque<Arc<RecordedEvent>>,
}

impl Window {
    pub(super) fn new(start: ReadVector) -> Self {
        Self { start, events: VecDeque::new() }
    }

    pub(super) fn push(&mut self, event: Arc<RecordedEvent>) {
        self.events.push_back(event);
        if self.events.len() > EVENTS
            && let Some(oldest) = self.events.pop_front()
        {
            self.start.advance(oldest.position.partition, oldest.position.seq);
        }
    }

    /// The events that a reader at `vector` has yet to see, in routing order. `None`: it is too far behind.
    pub(super) fn behind(&self, vector: ReadVector) -> Option<impl Iterator<Item = &Arc<RecordedEvent>>> {
        let reaches = vector.covers(&self.start);
        reaches.then(move || {
            self.events.iter().filter(move |event| event.position.seq > vector.get(event.position.partition))
        })
    }
}
