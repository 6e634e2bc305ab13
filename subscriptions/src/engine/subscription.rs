//! One running subscription.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sluice_schema::{
    channel::{Channel, ChannelPattern},
    error::ClientError,
    event::RecordedEvent,
    position::{Cursor, ReadVector},
    proto::header::Header,
    viewer::Viewer,
};
use tokio::sync::Notify;

use super::{Root, Shared, Subscribe, ends::Ends, shard::Command, window::Window};
use crate::{
    access::{Affected, LastDecision},
    audit::{EndReason, Recipient},
    deliver::{Gone, Subscriber},
    render::Projection,
};

/// A subscription, owned by the shard or by the task that catches it up: never by both.
pub(super) struct Live {
    pub(super) id: u64,
    pub(super) viewer: Arc<Viewer>,
    pub(super) pattern: ChannelPattern,
    pub(super) projection: Arc<dyn Projection>,
    pub(super) subscriber: Arc<dyn Subscriber>,
    pub(super) root: Option<Root>,
    pub(super) last_decision: LastDecision,
    transport: &'static str,
    /// The state that it began with: earlier events of the same entity are in it already.
    state: Option<Arc<RecordedEvent>>,
    stage: Mutex<Stage>,
    /// The stage is another.
    changed: Notify,
    /// Where its end is told for the audit trail; absent for a poll.
    ends: Option<Ends>,
}

/// How it stands. Hundreds of thousands of these wait in memory: it is kept small.
#[derive(Debug)]
struct Stage {
    /// Set by the handle: nothing more is wanted.
    stopped: bool,
    /// The shard has it.
    attached: bool,
    /// Set once by the owner: `place` is where it ended.
    ended: bool,
    /// Why it ends, as soon as somebody knows.
    why: Option<EndReason>,
    place: ReadVector,
}

impl Live {
    pub(super) fn new(
        id: u64,
        subscribe: Subscribe,
        place: ReadVector,
        state: Option<Arc<RecordedEvent>>,
        ends: Option<Ends>,
    ) -> Self {
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
            last_decision: LastDecision::default(),
            stage: Mutex::new(Stage { stopped: false, attached: false, ended: false, why: None, place }),
            changed: Notify::new(),
            ends,
        }
    }

    /// Whether what its viewer may see of what it is about may be something else now.
    pub(super) fn is_affected(&self, affected: &Affected<'_>) -> bool {
        match &self.root {
            Some(root) => affected.includes(&self.viewer, &root.member),
            None => affected.includes_some_of(&self.viewer),
        }
    }

    /// Whether it wants to hear of this event. Access is not looked at.
    pub(super) fn wants(&self, event: &RecordedEvent) -> bool {
        self.projection.shows(&event.header.r#type) && !self.is_in_state(event)
    }

    /// What it has yet to be given of what the shard routed last, if it is all there and no more than `most`.
    pub(super) fn behind(&self, recent: &Window, place: &ReadVector, most: usize) -> Option<Vec<Arc<RecordedEvent>>> {
        let concerns = (self.viewer.tenant.as_str(), &self.pattern);
        recent.behind(concerns, place, most, |event| self.matches(&event.header) && self.wants(event))
    }

    /// Whether the event concerns it at all.
    pub(super) fn matches(&self, header: &Header) -> bool {
        header.tenant == self.viewer.tenant.as_str()
            && self.pattern.may_match(&header.channel)
            && header.channel.parse::<Channel>().is_ok_and(|channel| self.pattern.matches(&channel))
    }

    fn is_in_state(&self, event: &RecordedEvent) -> bool {
        self.state.as_ref().is_some_and(|state| {
            state.position.partition == event.position.partition
                && event.position.seq <= state.position.seq
                && state.header.subject == event.header.subject
        })
    }

    pub(super) fn recipient(&self) -> Recipient {
        Recipient::of(&self.viewer, self.transport)
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Stage)) {
        change(&mut self.stage());
        self.changed.notify_waiters();
    }

    async fn wait_for<T>(&self, look: impl Fn(&Stage) -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(seen) = look(&self.stage()) {
                return seen;
            }
            changed.await;
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stage().stopped
    }

    /// Resolves once nothing more is wanted.
    pub(super) async fn stopped(&self) {
        self.wait_for(|stage| stage.stopped.then_some(())).await;
    }

    /// Hands it to the shard, or takes it away.
    pub(super) fn set_attached(&self, attached: bool) {
        self.change(|stage| stage.attached = attached);
    }

    /// Everything up to here was handed over or is not for this subscriber.
    pub(super) fn reached(&self, vector: &ReadVector) {
        self.stage().place.clone_from(vector);
    }

    /// Says why it will end; who says it first is right.
    pub(super) fn ends_because(&self, why: EndReason) {
        self.stage().why.get_or_insert(why);
    }

    pub(super) fn is_gone(&self, gone: Gone) {
        self.ends_because(match gone {
            Gone::Closed => EndReason::ConnectionClosed,
            Gone::Lagging => EndReason::Lagging,
        });
    }

    /// The owner's last word. With an error the subscriber is told.
    pub(super) fn end(&self, at: &ReadVector, error: Option<ClientError>) {
        if let Some(error) = error {
            self.ends_because(EndReason::of(error.code));
            self.subscriber.end(Some(error));
        }
        let mut why = None;
        self.change(|stage| {
            if !stage.ended {
                why = Some(stage.why.unwrap_or(EndReason::ConnectionClosed));
            }
            (stage.attached, stage.ended) = (false, true);
            stage.place.clone_from(at);
        });
        if let (Some(ends), Some(why)) = (&self.ends, why) {
            ends.tell(self, why);
        }
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
        let progress = self.shared.shard(&self.live).progress.borrow().clone();
        let stage = self.live.stage();
        let mut place = stage.place.clone();
        if stage.attached {
            place.join(&progress);
        }
        self.shared.cursor(&place)
    }

    /// Says why it will be dropped; without a word it is that the connection was closed.
    pub fn ends_because(&self, why: EndReason) {
        self.live.ends_because(why);
    }

    /// Waits until it has been given everything that there was when it began, or is over.
    pub async fn caught_up(&self) {
        self.live.wait_for(|stage| (stage.attached || stage.ended).then_some(())).await;
    }

    /// Ends it, and tells the place up to which everything was handed over.
    pub async fn finish(self) -> Cursor {
        self.stop();
        let end = self.live.wait_for(|stage| stage.ended.then(|| stage.place.clone())).await;
        self.shared.cursor(&end)
    }

    fn stop(&self) {
        self.live.change(|stage| stage.stopped = true);
        // A closed queue means that the engine is gone, and the subscription with it.
        let _ = self.shared.shard(&self.live).commands.send(Command::Stop(self.live.id));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
    }
}
