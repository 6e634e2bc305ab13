//! What waits to be sent to one client, bounded in bytes, and the way to its socket.
//!
//! Whoever queues something calls [`Outbox::flush`] on its own thread, which is all that an event costs while the client keeps
//! up: one system call for all that waits, no task is woken. Only what the socket does not take now is left to the
//! connection's task.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
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
use tokio::{net::TcpStream, sync::Notify};
use tungstenite::protocol::frame::coding::Control;

use super::{
    super::websocket,
    budget::Budget,
    close::Close,
    message,
    protocol::{Action, Delivery, Operation},
};

/// What an entry costs beside its bytes, so that a queue of empty ones is bounded too.
const OVERHEAD: usize = 128;

/// How much goes to the socket in one call.
const CHUNK: usize = 64 * 1024;

/// A queue that is empty keeps no more room than for so many entries.
const ROOM: usize = 4;

/// One thing to send.
#[derive(Debug)]
pub(super) enum Outgoing {
    Text(String),
    /// One event. Its bytes are shared with other sockets, and leave only if they are still wanted by then.
    Event(Arc<Stream>, Bytes),
    /// Becomes frames by the connection's task, which knows whether it is still wanted.
    Result(Delivery),
    Pong(Bytes),
    /// The last one: the payload of a close frame.
    Close(Vec<u8>),
}

/// The events of one subscription.
#[derive(Debug)]
pub(super) struct Stream {
    /// The start of each of its messages.
    pub(super) head: Arc<str>,
    pub(super) wanted: AtomicBool,
}

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
}

struct Queue {
    entries: VecDeque<Outgoing>,
    /// What the entries cost.
    bytes: usize,
    /// How much of the first entry has left.
    written: usize,
    /// The furthest place of all events that were ever queued, and of where subscriptions began.
    told: ReadVector,
    state: State,
    blocked: bool,
    /// Absent once it is of no use.
    socket: Option<Arc<TcpStream>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Overflown,
    Closed,
}

/// Where frames are put together, one for each thread.
#[derive(Default)]
struct Scratch {
    bytes: Vec<u8>,
    /// Where each entry ends.
    ends: Vec<usize>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Why the connection's task has to go on.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    /// There is something that only the task can turn into frames, or the socket is not ready, or gone.
    Work,
}

impl Outbox {
    /// At most `limit` bytes wait at a time; only an entry that is larger by itself may go past, alone.
    pub(super) fn new(limit: usize, budget: Arc<Budget>, socket: Arc<TcpStream>) -> Self {
        let queue = Queue {
            entries: VecDeque::new(),
            bytes: 0,
            written: 0,
            told: ReadVector::default(),
            state: State::Open,
            blocked: false,
            socket: Some(socket),
        };
        Self { limit, budget, queue: Mutex::new(queue), work: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues it; [`Self::flush`] sends it.
    pub(super) fn push(&self, outgoing: Outgoing) -> Result<(), Gone> {
        self.push_to(&mut self.lock(), outgoing)
    }

    /// An event, and its cursor as a vector.
    fn push_event(&self, stream: &Arc<Stream>, payload: &Bytes, place: &ReadVector) -> Result<(), Gone> {
        let mut queue = self.lock();
        self.push_to(&mut queue, Outgoing::Event(stream.clone(), payload.clone()))?;
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
        self.push_to(&mut queue, Outgoing::Text(message::ping(progress)))
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
            self.budget.give_back(queue.clear());
            self.work.notify_one();
            return Err(Gone::Lagging);
        }
        self.budget.take(cost);
        queue.bytes += cost;
        queue.entries.push_back(outgoing);
        Ok(())
    }

    /// Sends what waits, as far as the socket takes it.
    pub(super) fn flush(&self) {
        let mut queue = self.lock();
        if queue.blocked || queue.entries.is_empty() {
            return;
        }
        if self.write(&mut queue) == Left::Work {
            self.work.notify_one();
        }
    }

    /// The socket may take more.
    pub(super) fn unblock(&self) {
        let mut queue = self.lock();
        queue.blocked = false;
        if !queue.entries.is_empty() && self.write(&mut queue) == Left::Work && !queue.blocked {
            self.work.notify_one();
        }
    }

    fn write(&self, queue: &mut Queue) -> Left {
        let before = queue.bytes;
        let left = SCRATCH.with_borrow_mut(|scratch| queue.write(scratch));
        self.budget.give_back(before - queue.bytes);
        left
    }

    /// For the connection's task: turns the results at the front into frames, and sends on. `settle` says what to do of a
    /// result; what is not to be sent is given back.
    pub(super) fn settle(&self, mut settle: impl FnMut(Delivery) -> Vec<Action>) -> Vec<Action> {
        let mut queue = self.lock();
        let mut others = Vec::new();
        loop {
            let before = queue.bytes;
            let Some(delivery) = queue.pop_result() else { return others };
            let mut frames = Vec::new();
            for action in settle(delivery) {
                match action {
                    Action::Send(text) => frames.push(Outgoing::Text(text)),
                    other => others.push(other),
                }
            }
            queue.push_front(frames);
            self.budget.take(queue.bytes);
            self.budget.give_back(before);
            if !queue.blocked {
                self.write(&mut queue);
            }
        }
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

    /// The client closes: its close frame is answered.
    pub(super) fn answer_close(&self, payload: &[u8]) {
        let code = websocket::closing_code(payload);
        self.close_with(code.map(|code| websocket::close_payload(code, "")).unwrap_or_default(), false);
    }

    fn close_with(&self, payload: Vec<u8>, after_queue: bool) {
        let mut queue = self.lock();
        if queue.state == State::Closed {
            return;
        }
        if !after_queue {
            self.budget.give_back(queue.clear());
        }
        queue.state = State::Closed;
        let outgoing = Outgoing::Close(payload);
        let cost = outgoing.cost();
        self.budget.take(cost);
        queue.bytes += cost;
        queue.entries.push_back(outgoing);
        if !queue.blocked {
            self.write(&mut queue);
        }
        self.work.notify_one();
    }

    /// Lets go of the socket and of everything that waits.
    pub(super) fn abandon(&self) {
        let mut queue = self.lock();
        self.budget.give_back(queue.bytes);
        queue.break_off();
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.abandon();
    }
}

impl Queue {
    /// All that may go: but for a frame that has left in part, which has to be whole. Gives what that freed.
    fn clear(&mut self) -> usize {
        let before = self.bytes;
        let begun = if self.written > 0 { self.entries.pop_front() } else { None };
        self.entries = begun.into_iter().collect();
        self.bytes = self.entries.iter().map(Outgoing::cost).sum();
        before - self.bytes
    }

    fn break_off(&mut self) {
        self.entries = VecDeque::new();
        (self.bytes, self.written, self.blocked) = (0, 0, false);
        self.state = State::Closed;
        self.socket = None;
    }

    fn pop_result(&mut self) -> Option<Delivery> {
        let outgoing = self.entries.pop_front_if(|first| matches!(first, Outgoing::Result(_)))?;
        self.bytes -= outgoing.cost();
        match outgoing {
            Outgoing::Result(delivery) => Some(delivery),
            _ => None,
        }
    }

    fn push_front(&mut self, frames: Vec<Outgoing>) {
        for frame in frames.into_iter().rev() {
            self.bytes += frame.cost();
            self.entries.push_front(frame);
        }
    }

    /// Sends until nothing is left, or no more goes.
    fn write(&mut self, scratch: &mut Scratch) -> Left {
        while !self.entries.is_empty() {
            if matches!(self.entries.front(), Some(Outgoing::Result(_))) {
                return Left::Work;
            }
            self.compose(scratch);
            if scratch.bytes.len() > self.written {
                let Some(socket) = &self.socket else { return Left::Work };
                match socket.try_write(&scratch.bytes[self.written..]) {
                    Ok(written) => self.written += written,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.blocked = true;
                        return Left::Work;
                    }
                    Err(_) => {
                        self.break_off();
                        return Left::Work;
                    }
                }
            }
            self.drop_written(scratch);
        }
        if self.entries.capacity() > ROOM {
            self.entries = VecDeque::new();
        }
        Left::Nothing
    }

    /// Puts the next frames together. Copying some hundred bytes costs less than telling the kernel of four places for
    /// each frame, and keeps nothing for the connection.
    fn compose(&self, Scratch { bytes, ends }: &mut Scratch) {
        bytes.clear();
        ends.clear();
        for (index, outgoing) in self.entries.iter().enumerate() {
            let begun = index == 0 && self.written > 0;
            if bytes.len() >= CHUNK || !outgoing.compose(begun, bytes) {
                break;
            }
            ends.push(bytes.len());
        }
    }

    fn drop_written(&mut self, Scratch { ends, .. }: &Scratch) {
        let gone = ends.iter().take_while(|end| **end <= self.written).count();
        for outgoing in self.entries.drain(..gone) {
            self.bytes -= outgoing.cost();
        }
        self.written -= gone.checked_sub(1).and_then(|last| ends.get(last)).copied().unwrap_or_default();
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
            Self::Text(text) => text.len(),
            Self::Event(_, payload) | Self::Pong(payload) => payload.len(),
            Self::Result(Delivery::Answer(_, answer)) => answer.body.len(),
            Self::Result(_) | Self::Close(_) => 0,
        };
        bytes.saturating_add(OVERHEAD)
    }

    /// Appends the frame, or nothing where it is not wanted any more (one that has `begun` to leave has to end). `false`: it
    /// is none yet.
    fn compose(&self, begun: bool, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Text(text) => {
                websocket::begin_text(text.len(), out);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Event(stream, payload) if begun || stream.wanted.load(Ordering::Acquire) => {
                let parts = message::next_parts(&stream.head, payload);
                websocket::begin_text(parts.iter().map(|part| part.len()).sum(), out);
                parts.iter().for_each(|part| out.extend_from_slice(part));
            }
            Self::Event(..) => {}
            Self::Pong(payload) => websocket::control(Control::Pong, payload, out),
            Self::Close(payload) => websocket::control(Control::Close, payload, out),
            Self::Result(_) => return false,
        }
        true
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

    fn end(&self, error: Option<ClientError>) {
        // A queue that takes no more belongs to a client that is told to resume.
        let _ = self.outbox.push(Outgoing::Result(Delivery::End(self.operation.clone(), error)));
        self.outbox.flush();
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
