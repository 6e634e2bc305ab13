//! Everything that happens, by channel.

use async_graphql::{Context, ID, Result, Subscription};
use futures_util::{Stream, StreamExt};
use sluice_schema::graphql::{ChannelScalar, CursorScalar, DateTime, Event, EventPayload, EventSubject, See};
use sluice_subscriptions::render::Seen;

use crate::projection::{self, Source};

#[derive(Default)]
pub(crate) struct EventsSubscription;

#[Subscription]
impl EventsSubscription {
    /// Every event of a channel, or of all that a pattern matches, that the viewer may see; from now on, or behind a
    /// cursor. A wildcard never widens access.
    async fn events(
        &self,
        ctx: &Context<'_>,
        channel: ChannelScalar,
        after: Option<CursorScalar>,
    ) -> Result<impl Stream<Item = Event>> {
        Ok(projection::open(ctx, Source::Channel(channel.0), after)?.map(|seen| event(&seen)))
    }
}

fn event(seen: &Seen) -> Event {
    let header = &seen.event.recorded.header;
    let subject = seen.event.recorded.subject();
    Event {
        id: ID(header.event_id.clone()),
        r#type: header.r#type.clone(),
        channel: header.channel.clone(),
        occurred_at: header.occurred_at.as_ref().and_then(DateTime::of),
        subject: EventSubject { r#type: subject.r#type, id: ID(subject.id) },
        payload: EventPayload::see(&seen.payload, seen.mask),
    }
}
