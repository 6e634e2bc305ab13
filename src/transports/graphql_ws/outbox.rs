//! What waits to be sent to one client, bounded in bytes.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use sluice_schema::{
    error::ClientError,
    position::{Cursor, ReadVector},
};
use sluice_subscriptions::deliver::{Gone, Subscriber};
use tokio::sync::Notify;

use super::{
    close::Close,
    message,
    protocol::{Delivery, Operation},
};

/// What an entry costs beside its bytes, so that a queue of empty ones is bounded too.
const OVERHEAD: usize = 128;

/// One thing to send.
#[derive(Debug)]
pub(super) enum Outgoing {
    Frame(String),
    /// Becomes a frame only when it is taken out, and only if it is still wanted. Its bytes are shared with other sockets.
    Delivery(Delivery),
    /// The last one.
    Close(Close),
}

/// The queue of one socket. Every method returns at once.
pub(super) struct Outbox {
    limit: usize,
    queue: Mutex<Queue>,
    ready: Notify,
    overflow: Notify,
    closing: Notify,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Outgoing>,
    /// What the entries and the one being sent cost.
    bytes: usize,
    being_sent: usize,
    /// The furthest place of all events that were ever queued, and of where subscriptions began.
    told: ReadVector,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Open,
    Overflown,
    Closed,
}

impl Outbox {
    /// At most `limit` bytes wait at a time; only an entry that is larger by itself may go past, alone.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, queue: Mutex::default(), ready: Notify::new(), overflow: Notify::new(), closing: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, outgoing: Outgoing) -> Result<(), Gone> {
        self.push_to(&mut self.lock(), outgoing)
    }

    /// An event, and its cursor as a vector.
    fn push_event(&self, operation: Operation, payload: Bytes, place: &ReadVector) -> Result<(), Gone> {
        let mut queue = self.lock();
        self.push_to(&mut queue, Outgoing::Delivery(Delivery::Next(operation, payload)))?;
        queue.note(place);
        Ok(())
    }

    /// Where a subscription begins, which its client knows: with another process behind it, or a log that is fed late, progress
    /// may still be short of that.
    pub(super) fn begins_at(&self, place: &ReadVector) {
        self.lock().note(place);
    }

    /// A ping that tells `progress`, unless an event further on was queued before it: a client that resumed there would
    /// get that event again.
    pub(super) fn push_ping(&self, progress: Option<(&Cursor, &[String])>) -> Result<(), Gone> {
        let mut queue = self.lock();
        let progress = progress.filter(|(cursor, _)| cursor.vector.covers(&queue.told));
        self.push_to(&mut queue, Outgoing::Frame(message::ping(progress)))
    }

    fn push_to(&self, queue: &mut Queue, outgoing: Outgoing) -> Result<(), Gone> {
        match queue.state {
            State::Open => {}
            State::Overflown => return Err(Gone::Lagging),
            State::Closed => return Err(Gone::Closed),
        }
        let cost = outgoing.cost();
        if queue.bytes > 0 && queue.bytes.saturating_add(cost) > self.limit {
            queue.state = State::Overflown;
            queue.clear();
            self.overflow.notify_one();
            return Err(Gone::Lagging);
        }
        queue.bytes += cost;
        queue.entries.push_back(outgoing);
        self.ready.notify_one();
        Ok(())
    }

    /// The next one to send; whatever was taken before counts as sent.
    pub(super) fn pop(&self) -> Option<Outgoing> {
        let mut queue = self.lock();
        queue.bytes -= std::mem::take(&mut queue.being_sent);
        let outgoing = queue.entries.pop_front()?;
        queue.being_sent = outgoing.cost();
        Some(outgoing)
    }

    /// Resolves once something was queued since [`Self::pop`] found nothing. For one waiter.
    pub(super) async fn ready(&self) {
        self.ready.notified().await;
    }

    /// Resolves, once, when the bound was passed.
    pub(super) async fn overflown(&self) {
        self.overflow.notified().await;
    }

    /// Resolves, once, when it was closed.
    pub(super) async fn closing(&self) {
        self.closing.notified().await;
    }

    /// Takes nothing more. What waits is sent before `close` only if that says so.
    pub(super) fn close(&self, close: Close) {
        let mut queue = self.lock();
        if queue.state == State::Closed {
            return;
        }
        if !close.after_queue {
            queue.clear();
        }
        queue.state = State::Closed;
        let outgoing = Outgoing::Close(close);
        queue.bytes += outgoing.cost();
        queue.entries.push_back(outgoing);
        self.ready.notify_one();
        self.closing.notify_one();
    }
}

impl Queue {
    fn clear(&mut self) {
        self.entries = VecDeque::new();
        self.bytes = self.being_sent;
    }

    fn note(&mut self, place: &ReadVector) {
        if self.told.0.len() < place.0.len() {
            self.told.0.resize(place.0.len(), 0);
        }
        place.partitions().for_each(|(partition, seq)| self.told.advance(partition, seq));
    }
}

impl Outgoing {
    fn cost(&self) -> usize {
        let bytes = match self {
            Self::Frame(text) => text.len(),
            Self::Delivery(Delivery::Next(_, payload)) => payload.len(),
            Self::Delivery(Delivery::Answer(_, answer)) => answer.body.len(),
            Self::Delivery(_) | Self::Close(_) => 0,
        };
        bytes.saturating_add(OVERHEAD)
    }
}

/// One operation's end of the queue: what the engine feeds.
pub(super) struct Feed {
    pub(super) outbox: Arc<Outbox>,
    pub(super) operation: Operation,
    /// Whether the operation's results are still wanted.
    pub(super) wanted: Arc<AtomicBool>,
}

impl Subscriber for Feed {
    fn next(&self, payload: &Bytes, place: &ReadVector) -> Result<(), Gone> {
        if !self.wanted.load(Ordering::Acquire) {
            return Err(Gone::Closed);
        }
        self.outbox.push_event(self.operation.clone(), payload.clone(), place)
    }

    fn end(&self, error: Option<ClientError>) {
        // A queue that takes no more belongs to a client that is told to resume.
        let _ = self.outbox.push(Outgoing::Delivery(Delivery::End(self.operation.clone(), error)));
    }
}

#[cfg(test)]
mod tests {
    use sluice_schema::position::Epoch;

    use super::*;

    fn frame(length: usize) -> Outgoing {
        Outgoing::Frame("x".repeat(length))
    }

    #[test]
    fn what_is_over_the_bound_ends_the_queue_and_frees_it() {
        let outbox = Outbox::new(1000);
        assert_eq!(outbox.push(frame(1000 - OVERHEAD)), Ok(()));
        assert_eq!(outbox.push(frame(0)), Err(Gone::Lagging));
        assert!(outbox.pop().is_none(), "what waited is dropped");
        assert_eq!(outbox.push(frame(0)), Err(Gone::Lagging), "and nothing comes after the gap");
        outbox.close(Close::lagging());
        assert_eq!(outbox.push(frame(0)), Err(Gone::Closed));
        assert!(matches!(outbox.pop(), Some(Outgoing::Close(close)) if close.code == 1013));
    }

    #[test]
    fn what_is_being_sent_counts() {
        let outbox = Outbox::new(1000);
        outbox.push(frame(1000 - OVERHEAD)).expect("fits");
        outbox.pop().expect("is there");
        assert_eq!(outbox.push(frame(0)), Err(Gone::Lagging));
        let outbox = Outbox::new(1000);
        outbox.push(frame(1000 - OVERHEAD)).expect("fits");
        outbox.pop().expect("is there");
        assert!(outbox.pop().is_none(), "asking for more says that it was sent");
        assert_eq!(outbox.push(frame(0)), Ok(()));
    }

    #[test]
    fn one_that_is_larger_than_the_bound_goes_alone() {
        let outbox = Outbox::new(10);
        assert_eq!(outbox.push(frame(100)), Ok(()));
        assert_eq!(outbox.push(frame(0)), Err(Gone::Lagging));
    }

    #[test]
    fn a_drain_sends_what_waits_and_a_fault_does_not() {
        for (close, expected) in [(Close::going_away(std::time::Duration::ZERO), 2), (Close::expired(), 1)] {
            let outbox = Outbox::new(1000);
            outbox.push(frame(1)).expect("fits");
            outbox.close(close);
            assert_eq!(std::iter::from_fn(|| outbox.pop()).count(), expected);
        }
    }

    #[test]
    fn a_ping_never_tells_less_than_was_sent() {
        let outbox = Outbox::new(1000);
        let cursor = |seqs: &[u64]| Cursor { epoch: Epoch(1), vector: ReadVector(seqs.to_vec()) };
        outbox.lock().note(&ReadVector(vec![5, 1]));
        outbox.lock().note(&ReadVector(vec![2, 3]));
        let tells = |progress: &Cursor| {
            outbox.push_ping(Some((progress, &["1".to_owned()]))).expect("fits");
            matches!(outbox.pop(), Some(Outgoing::Frame(text)) if text.contains(&progress.to_string()))
        };
        assert!(!tells(&cursor(&[5, 2])));
        assert!(tells(&cursor(&[5, 3])));
        outbox.begins_at(&ReadVector(vec![9, 1]));
        assert!(!tells(&cursor(&[8, 3])), "a client that came with a cursor is not sent back behind it");
        assert!(tells(&cursor(&[9, 3])));
    }
}
