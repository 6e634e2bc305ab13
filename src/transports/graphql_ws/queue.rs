//! What waits for one socket, and how it gets there.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use sluice_schema::position::ReadVector;
use tokio::net::TcpStream;
use tungstenite::protocol::frame::coding::Control;

use super::{super::websocket, message, protocol::Delivery};

/// What an entry costs beside its bytes, so that a queue of empty ones is bounded too.
pub(super) const OVERHEAD: usize = 128;

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

pub(super) struct Queue {
    pub(super) entries: VecDeque<Outgoing>,
    /// What the entries cost.
    pub(super) bytes: usize,
    /// How much of the first entry has left.
    pub(super) written: usize,
    /// How many entries have left or were dropped, so that with those that wait it is how many there ever were.
    pub(super) gone: u64,
    /// How many wait until some have left.
    pub(super) awaited: u32,
    /// The furthest place of all events that were ever queued, and of where subscriptions began.
    pub(super) told: ReadVector,
    pub(super) state: State,
    /// The socket did not take all, and has to be waited for.
    pub(super) blocked: bool,
    /// Absent once it is of no use.
    pub(super) socket: Option<Arc<TcpStream>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    /// There is something that only the task can turn into frames, or the socket is not ready, or gone.
    Work,
}

impl Queue {
    pub(super) fn new(socket: Arc<TcpStream>) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            written: 0,
            gone: 0,
            awaited: 0,
            told: ReadVector::default(),
            state: State::Open,
            blocked: false,
            socket: Some(socket),
        }
    }

    pub(super) fn push(&mut self, outgoing: Outgoing) {
        self.bytes += outgoing.cost();
        self.entries.push_back(outgoing);
    }

    pub(super) fn push_front(&mut self, frames: Vec<Outgoing>) {
        for frame in frames.into_iter().rev() {
            self.gone = self.gone.wrapping_sub(1);
            self.bytes += frame.cost();
            self.entries.push_front(frame);
        }
    }

    pub(super) fn pop_result(&mut self) -> Option<Delivery> {
        let outgoing = self.entries.pop_front_if(|first| matches!(first, Outgoing::Result(_)))?;
        self.bytes -= outgoing.cost();
        self.gone = self.gone.wrapping_add(1);
        match outgoing {
            Outgoing::Result(delivery) => Some(delivery),
            _ => None,
        }
    }

    /// Drops all that may go: but for a frame that has left in part, which has to be whole.
    pub(super) fn clear(&mut self) {
        self.keep(|_| false);
    }

    /// Drops the events of a subscription that have not begun to leave.
    pub(super) fn take_back(&mut self, stream: &Arc<Stream>) {
        self.keep(|outgoing| !matches!(outgoing, Outgoing::Event(of, _) if Arc::ptr_eq(of, stream)));
    }

    fn keep(&mut self, mut kept: impl FnMut(&Outgoing) -> bool) {
        let before = self.entries.len();
        let begun = if self.written > 0 { self.entries.pop_front() } else { None };
        self.entries.retain(|outgoing| kept(outgoing));
        begun.into_iter().for_each(|begun| self.entries.push_front(begun));
        self.bytes = self.entries.iter().map(Outgoing::cost).sum();
        self.gone = self.gone.wrapping_add((before - self.entries.len()) as u64);
    }

    /// The place behind the last entry that waits.
    pub(super) fn end(&self) -> u64 {
        self.gone.wrapping_add(self.entries.len() as u64)
    }

    /// Whether nothing waits that waited when the end was this.
    pub(super) fn has_passed(&self, end: u64) -> bool {
        // Both count up from the same beginning, and one step back is a step.
        end.wrapping_sub(self.gone).cast_signed() <= 0
    }

    /// Lets go of the socket and of everything that waits.
    pub(super) fn break_off(&mut self) {
        self.gone = self.end();
        self.entries = VecDeque::new();
        (self.bytes, self.written, self.blocked) = (0, 0, false);
        self.state = State::Closed;
        self.socket = None;
    }

    /// Sends until nothing is left, or no more goes.
    pub(super) fn write(&mut self) -> Left {
        if self.blocked {
            return Left::Nothing;
        }
        SCRATCH.with_borrow_mut(|scratch| self.write_through(scratch))
    }

    fn write_through(&mut self, scratch: &mut Scratch) -> Left {
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
        self.gone = self.gone.wrapping_add(gone as u64);
        self.written -= gone.checked_sub(1).and_then(|last| ends.get(last)).copied().unwrap_or_default();
    }
}

impl Outgoing {
    pub(super) fn cost(&self) -> usize {
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
