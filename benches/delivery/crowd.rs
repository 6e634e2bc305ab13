//! All clients of one server, on one thread: what it costs to hear must not be what is measured.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::event::{
    Timespec,
    epoll::{self, CreateFlags, Event, EventData, EventFlags},
};

use crate::{
    clock,
    conn::{Conn, Seat},
    tally::Tally,
};

/// How many handshakes are under way at once, so that no backlog overflows.
const AT_ONCE: usize = 64;

/// What one read takes at most.
const BUFFER: usize = 256 * 1024;

/// How long all of a crowd may take until it has subscribed.
const SEATING: Duration = Duration::from_secs(90);

pub(crate) struct Crowd {
    address: SocketAddr,
    epoll: OwnedFd,
    pub(crate) conns: Vec<Conn>,
    /// Who has yet to connect: where in `conns`, for those who come again.
    coming: VecDeque<Coming>,
    /// Which of `conns` have begun and are not subscribed.
    seating: usize,
    pub(crate) tally: Tally,
    /// Of those who are counted apart.
    pub(crate) apart: Tally,
    buffer: Vec<u8>,
}

enum Coming {
    New(Seat),
    Again(usize),
}

impl Crowd {
    pub(crate) fn of(address: SocketAddr) -> Result<Self, String> {
        Ok(Self {
            address,
            epoll: epoll::create(CreateFlags::CLOEXEC).map_err(|error| error.to_string())?,
            conns: Vec::new(),
            coming: VecDeque::new(),
            seating: 0,
            tally: Tally::default(),
            apart: Tally::default(),
            buffer: vec![0; BUFFER],
        })
    }

    /// Connects them, and waits until each has sent its `subscribe`.
    pub(crate) fn seat(&mut self, seats: impl IntoIterator<Item = Seat>) -> Result<(), String> {
        self.coming.extend(seats.into_iter().map(Coming::New));
        let begun = Instant::now();
        while !self.is_seated() {
            self.turn(Duration::from_millis(20))?;
            if begun.elapsed() > SEATING {
                return Err(format!("{} clients have not subscribed in time", self.seating + self.coming.len()));
            }
        }
        Ok(())
    }

    /// Takes those from the `at`th on into a crowd of their own, for another thread.
    pub(crate) fn split_off(&mut self, at: usize) -> Result<Self, String> {
        let mut other = Self::of(self.address)?;
        for conn in self.conns.split_off(at) {
            epoll::delete(&self.epoll, &conn.stream).map_err(|error| error.to_string())?;
            other.conns.push(conn);
            other.hear_of(other.conns.len() - 1)?;
        }
        Ok(other)
    }

    /// Cuts all off, who come again behind what they have.
    pub(crate) fn cut(&mut self) {
        for index in 0..self.conns.len() {
            // Nothing that is still on its way gets through.
            let _ = self.conns[index].stream.shutdown(std::net::Shutdown::Both);
            let _ = epoll::delete(&self.epoll, &self.conns[index].stream);
            self.coming.push_back(Coming::Again(index));
        }
    }

    pub(crate) fn is_seated(&self) -> bool {
        self.seating == 0 && self.coming.is_empty()
    }

    /// Begins to count anew; how many deliveries there are so far is told by [`Self::delivered`].
    pub(crate) fn reset(&mut self) {
        (self.tally, self.apart) = (Tally::default(), Tally::default());
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.tally.delivered + self.apart.delivered
    }

    /// Hears what is there, and waits for something at most this long; whether there was something.
    pub(crate) fn turn(&mut self, wait: Duration) -> Result<bool, String> {
        while self.seating < AT_ONCE
            && let Some(coming) = self.coming.pop_front()
        {
            self.come(coming)?;
        }
        // Not kept: an event of epoll's can't go with the crowd to another thread.
        let mut events: Vec<Event> = Vec::with_capacity(1024);
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.as_nanos().min(999_999_999) as _ };
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.to_string()),
        }
        for event in &events {
            let index = usize::try_from(event.data.u64()).map_err(|error| error.to_string())?;
            let conn = &mut self.conns[index];
            let before = conn.is_subscribed() || conn.is_ended();
            let tally = if conn.apart { &mut self.apart } else { &mut self.tally };
            conn.read(&mut self.buffer, clock::now, tally)?;
            if !before && (conn.is_subscribed() || conn.is_ended()) {
                self.seating -= 1;
            }
            if conn.is_ended() {
                let _ = epoll::delete(&self.epoll, &conn.stream);
            }
        }
        Ok(!events.is_empty())
    }

    fn come(&mut self, coming: Coming) -> Result<(), String> {
        let index = match coming {
            Coming::New(seat) => {
                self.conns.push(Conn::open(self.address, seat)?);
                self.conns.len() - 1
            }
            Coming::Again(index) => {
                self.conns[index] = self.conns[index].resumed(self.address)?;
                index
            }
        };
        self.seating += 1;
        self.hear_of(index)
    }

    fn hear_of(&self, index: usize) -> Result<(), String> {
        let data = EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &self.conns[index].stream, data, EventFlags::IN).map_err(|error| error.to_string())
    }
}
