//! One running subscription.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use sluice_schema::{
    channel::{Channel, ChannelPattern},
    error::ClientError,
    event::RecordedEvent,
    ids::UserId,
    position::{Cursor, ReadVector},
    proto::header::Header,
    viewer::Viewer,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Root, Shared, Subscribe, shard::Command};
use crate::{audit::Recipient, deliver::Subscriber, render::Projection};

/// A subscription, owned by the shard or by the task that catches it up: never by both.
pub(super) struct Live {
    pub(super) id: u64,
    pub(super) viewer: Arc<Viewer>,
    pub(super) pattern: ChannelPattern,
    pub(super) projection: Arc<dyn Projection>,
    pub(super) subscriber: Arc<dyn Subscriber>,
    pub(super) root: Option<Root>,
    transport: &'static str,
    /// The state that it began with: earlier events of the same entity are in it already.
    state: Option<Arc<RecordedEvent>>,
    /// Set by the handle: nothing more is wanted.
    pub(super) stopped: CancellationToken,
    attached: watch::Sender<bool>,
    place: Mutex<ReadVector>,
    /// Where it ended, set once by the owner.
    ended: watch::Sender<Option<ReadVector>>,
}

impl Live {
    pub(super) fn new(id: u64, subscribe: Subscribe, place: ReadVector, state: Option<Arc<RecordedEvent>>) -> Self {
        let Subscribe { viewer, pattern, projection, subscriber, transport, root, .. } = subscribe;
        Self {
            id,
            viewer,
            pattern,
            projection,
            subscriber,
            root,
            transport,
            state,
            stopped: CancellationToken::new(),
            attached: watch::Sender::new(false),
            place: Mutex::new(place),
            ended: watch::Sender::new(None),
        }
    }

    /// Whether it wants to hear of this event. Access is not looked at.
    pub(super) fn wants(&self, event: &RecordedEvent) -> bool {
        self.projection.shows(&event.header.r#type) && !self.is_in_state(event)
    }

    /// Whether the event concerns it at all.
    pub(super) fn matches(&self, header: &Header) -> bool {
        let channel = header.channel.parse::<Channel>();
        header.tenant == self.viewer.tenant.as_str() && channel.is_ok_and(|channel| self.pattern.matches(&channel))
    }

    fn is_in_state(&self, event: &RecordedEvent) -> bool {
        self.state.as_ref().is_some_and(|state| {
            state.position.partition == event.position.partition
                && event.position.seq <= state.position.seq
                && state.header.subject == event.header.subject
        })
    }

    pub(super) fn is_expired(&self) -> bool {
        self.viewer.expires <= Timestamp::now()
    }

    pub(super) fn recipient(&self) -> Recipient {
        let user: UserId = self.viewer.user.clone();
        Recipient { user, purpose: self.viewer.purpose, transport: self.transport.to_owned(), seen: None }
    }

    /// Hands it to the shard, or takes it away.
    pub(super) fn set_attached(&self, attached: bool) {
        self.attached.send_replace(attached);
    }

    /// Everything up to here was handed over or is not for this subscriber.
    pub(super) fn reached(&self, vector: &ReadVector) {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone_from(vector);
    }

    /// The owner's last word. With an error the subscriber is told.
    pub(super) fn end(&self, at: &ReadVector, error: Option<ClientError>) {
        if let Some(error) = error {
            self.subscriber.end(Some(error));
        }
        self.set_attached(false);
        self.reached(at);
        self.ended.send_replace(Some(at.clone()));
    }
}

/// Keeps a subscription running; dropping it ends it.
pub struct Handle {
    live: Arc<Live>,
    shared: Arc<Shared>,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>, live: Arc<Live>) -> Self {
        Self { live, shared }
    }

    /// How far this subscription is. It never lies before what was handed to the subscriber, if that keeps the latest
    /// place of its own (see [`Subscriber::next`]) and takes the greater of the two.
    pub fn place(&self) -> Cursor {
        // Progress is read first: if it is still attached after that, all of that progress was handed over.
        let progress = self.shared.progress.borrow().clone();
        let mut place = self.live.place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if *self.live.attached.borrow() {
            progress.partitions().for_each(|(partition, seq)| place.advance(partition, seq));
        }
        self.shared.cursor(&place)
    }

    /// Waits until it has been given everything that there was when it began, or is over.
    pub(super) async fn caught_up(&self) {
        let (mut attached, mut ended) = (self.live.attached.subscribe(), self.live.ended.subscribe());
        tokio::select! {
            _ = attached.wait_for(|attached| *attached) => {}
            _ = ended.wait_for(Option::is_some) => {}
        }
    }

    /// Ends it, and tells the place up to which everything was handed over.
    pub async fn finish(self) -> Cursor {
        let mut ended = self.live.ended.subscribe();
        self.stop();
        let vector = ended.wait_for(Option::is_some).await.map(|ended| ended.clone());
        self.shared.cursor(&vector.ok().flatten().unwrap_or_default())
    }

    fn stop(&self) {
        self.live.stopped.cancel();
        // A closed queue means that the engine is gone, and the subscription with it.
        let _ = self.shared.commands.send(Command::Stop(self.live.id));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
    }
}
