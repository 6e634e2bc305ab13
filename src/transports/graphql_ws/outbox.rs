//! What waits to be sent to one client, bounded in bytes, and the way to its socket.
//!
//! Whoever queues something calls [`Outbox::flush`] on its own thread, which is all that an event costs while the client keeps
//! up: one system call for all that waits, no task is woken. Only what the socket does not take now is left to the
//! connection's task.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use sluice_schema::{
    error::ClientError,
    position::{Cursor, ReadVector},
};
use sluice_subscriptions::deliver::{Gone, Recalled, Subscriber, takes_back};
use tokio::{net::TcpStream, sync::Notify, time::timeout};

pub(super) use super::queue::{Outgoing, Stream};
use super::{
    super::websocket,
    budget::Budget,
    close::Close,
    message,
    protocol::{Action, Delivery, Operation},
    queue::{Left, Queue, State},
};

/// How long what was queued before a change of who may see what may take to leave. A client that keeps up has it at once.
const MOMENT: Duration = Duration::from_millis(250);

/// How it stands with the queue, as the connection's task has to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It takes more. `blocked`: the socket did not take all, and has to be waited for.
    Open { blocked: bool },
    /// The bound was passed: what waited is gone.
    Overflown,
    /// It takes nothing more, and what there is, to the close frame, has yet to leave.
    Closing { blocked: bool },
    /// Everything has left.
    Closed,
    /// The socket is of no use any more.
    Broken,
}

/// The queue of one socket. Every method returns at once.
pub(super) struct Outbox {
    limit: usize,
    budget: Arc<Budget>,
    queue: Mutex<Queue>,
    work: Notify,
    /// Something has left, for those who wait for that.
    left: Notify,
}

impl Outbox {
    /// At most `limit` bytes wait at a time; only an entry that is larger by itself may go past, alone.
    pub(super) fn new(limit: usize, budget: Arc<Budget>, socket: Arc<TcpStream>) -> Self {
        Self { limit, budget, queue: Mutex::new(Queue::new(socket)), work: Notify::new(), left: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one place where what the queue holds is told to the budget of all.
    fn change<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = self.lock();
        let before = queue.bytes;
        let changed = change(&mut queue);
        self.budget.changed(before, queue.bytes);
        if queue.awaited > 0 {
            self.left.notify_waiters();
        }
        changed
    }

    /// Queues it; [`Self::flush`] sends it.
    pub(super) fn push(&self, outgoing: Outgoing) -> Result<(), Gone> {
        self.change(|queue| self.push_to(queue, outgoing))
    }

    /// An event, and its cursor as a vector.
    fn push_event(&self, stream: &Arc<Stream>, payload: &Bytes, place: &ReadVector) -> Result<(), Gone> {
        self.change(|queue| {
            self.push_to(queue, Outgoing::Event(stream.clone(), payload.clone()))?;
            queue.told.join(place);
            Ok(())
        })
    }

    /// Where a subscription begins, which its client knows: with another process behind it, or a log that is fed late, progress
    /// may still be short of that.
    pub(super) fn begins_at(&self, place: &ReadVector) {
        self.lock().told.join(place);
    }

    /// A ping that tells `progress`, unless an event further on was queued before it: a client that resumed there would
    /// get that event again.
    pub(super) fn push_ping(&self, progress: Option<(&Cursor, &[String])>) -> Result<(), Gone> {
        self.change(|queue| {
            let progress = progress.filter(|(cursor, _)| cursor.vector.covers(&queue.told));
            self.push_to(queue, Outgoing::Text(message::ping(progress)))
        })
    }

    fn push_to(&self, queue: &mut Queue, outgoing: Outgoing) -> Result<(), Gone> {
        match queue.state {
            State::Open => {}
            State::Overflown => return Err(Gone::Lagging),
            State::Closed => return Err(Gone::Closed),
        }
        let cost = outgoing.cost();
        // Whoever has nothing waiting keeps up, and does not pay for those who don't.
        let fits = queue.bytes == 0 || (queue.bytes.saturating_add(cost) <= self.limit && self.budget.has(cost));
        if !fits {
            queue.state = State::Overflown;
            queue.clear();
            self.work.notify_one();
            return Err(Gone::Lagging);
        }
        queue.push(outgoing);
        Ok(())
    }

    /// Sends what waits, as far as the socket takes it.
    pub(super) fn flush(&self) {
        if self.change(Queue::write) == Left::Work {
            self.work.notify_one();
        }
    }

    /// The socket may take more. For the connection's task, which looks at [`Self::status`] next.
    pub(super) fn unblock(&self) {
        self.lock().blocked = false;
        self.flush();
    }

    /// For the connection's task: turns the results at the front into frames, and sends on. `settle` says what to do of a
    /// result; what is not to be sent is given back.
    pub(super) fn settle(&self, mut settle: impl FnMut(Delivery) -> Vec<Action>) -> Vec<Action> {
        self.change(|queue| {
            let mut others = Vec::new();
            while let Some(delivery) = queue.pop_result() {
                let mut frames = Vec::new();
                for action in settle(delivery) {
                    match action {
                        Action::Send(text) => frames.push(Outgoing::Text(text)),
                        other => others.push(other),
                    }
                }
                queue.push_front(frames);
                queue.write();
            }
            others
        })
    }

    /// Resolves once the task has something to do: see [`Self::status`] and [`Self::settle`]. For one waiter.
    pub(super) async fn work(&self) {
        self.work.notified().await;
    }

    pub(super) fn status(&self) -> Status {
        let queue = self.lock();
        let blocked = queue.blocked;
        match queue.state {
            _ if queue.socket.is_none() => Status::Broken,
            State::Open => Status::Open { blocked },
            State::Overflown => Status::Overflown,
            State::Closed if queue.entries.is_empty() => Status::Closed,
            State::Closed => Status::Closing { blocked },
        }
    }

    /// Takes nothing more. What waits is sent before `close` only if that says so.
    pub(super) fn close(&self, close: &Close) {
        self.close_with(websocket::close_payload(close.code, close.reason()), close.after_queue);
    }

    /// Nothing of what waits leaves, as of now. Where a message has left in part, or the socket is being closed already, it breaks
    /// off without a close frame: the rest would leave after this.
    pub(super) fn cut(&self, close: &Close) {
        self.change(|queue| {
            let is_closing = queue.state == State::Closed && !queue.entries.is_empty();
            if queue.written > 0 || is_closing {
                queue.break_off();
            }
            self.close_queue(queue, websocket::close_payload(close.code, close.reason()), false);
        });
        self.work.notify_one();
    }

    /// What waits now leaves within [`MOMENT`], or not at all: then its client is told to resume, or, where a message has left
    /// in part, let go. `None`: nothing waits.
    fn recall(self: Arc<Self>) -> Option<Recalled> {
        let end = {
            let mut queue = self.lock();
            if queue.entries.is_empty() {
                return None;
            }
            queue.awaited += 1;
            queue.end()
        };
        Some(Box::pin(async move {
            if timeout(MOMENT, self.has_passed(end)).await.is_err() {
                metrics::counter!("sluice_sockets_recalled_total").increment(1);
                self.drop_what_waits();
            }
            self.lock().awaited -= 1;
        }))
    }

    async fn has_passed(&self, end: u64) {
        loop {
            // Registered before it is looked at: what leaves in between is not missed.
            let mut left = pin!(self.left.notified());
            left.as_mut().enable();
            if self.lock().has_passed(end) {
                return;
            }
            left.await;
        }
    }

    fn drop_what_waits(&self) {
        self.change(|queue| match queue.state {
            _ if queue.entries.is_empty() => {}
            State::Open if queue.written == 0 => {
                queue.clear();
                queue.state = State::Overflown;
            }
            _ => queue.break_off(),
        });
        self.work.notify_one();
    }

    /// The client closes: its close frame is answered.
    pub(super) fn answer_close(&self, payload: &[u8]) {
        let code = websocket::closing_code(payload);
        self.close_with(code.map(|code| websocket::close_payload(code, "")).unwrap_or_default(), false);
    }

    fn close_with(&self, payload: Vec<u8>, after_queue: bool) {
        self.change(|queue| self.close_queue(queue, payload, after_queue));
    }

    fn close_queue(&self, queue: &mut Queue, payload: Vec<u8>, after_queue: bool) {
        if queue.state == State::Closed {
            return;
        }
        if !after_queue {
            queue.clear();
        }
        queue.state = State::Closed;
        queue.push(Outgoing::Close(payload));
        queue.write();
        self.work.notify_one();
    }

    /// Lets go of the socket and of everything that waits.
    pub(super) fn abandon(&self) {
        self.change(Queue::break_off);
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// One operation's end of the queue: what the engine feeds.
pub(super) struct Feed {
    pub(super) outbox: Arc<Outbox>,
    pub(super) operation: Operation,
    pub(super) stream: Arc<Stream>,
}

impl Subscriber for Feed {
    fn next(&self, payload: &Bytes, place: &ReadVector) -> Result<(), Gone> {
        if !self.stream.wanted.load(Ordering::Acquire) {
            return Err(Gone::Closed);
        }
        self.outbox.push_event(&self.stream, payload, place)
    }

    fn flush(&self) {
        self.outbox.flush();
    }

    fn recall(&self) -> Option<Recalled> {
        self.outbox.clone().recall()
    }

    fn end(&self, error: Option<ClientError>) {
        if takes_back(error.as_ref()) {
            self.outbox.change(|queue| queue.take_back(&self.stream));
        }
        // A queue that takes no more belongs to a client that is told to resume.
        let _ = self.outbox.push(Outgoing::Result(Delivery::End(self.operation.clone(), error)));
        self.outbox.flush();
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
