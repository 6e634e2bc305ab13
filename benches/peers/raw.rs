//! The least that a push can cost: a frame that was encoded once, written straight to each socket. One thread writes; nothing
//! is read from a client once it has subscribed. As [`Writes::Joined`] it is the floor: the frames that are due for a socket go
//! out in one write.

use std::{
    io::{ErrorKind, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::net::TcpListener;

use crate::{clock, frame, greet, role::Peer, sample, sample::Event};

/// How long clients may leave bytes unread.
const PATIENCE: Duration = Duration::from_secs(20);
/// Nanoseconds.
const LOOK_AGAIN: u64 = 200_000;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    /// One for each frame and socket.
    Each,
    /// One for all frames that are there, and each socket.
    Joined,
}

struct Socket {
    stream: TcpStream,
    /// What the kernel did not take yet.
    waiting: Vec<u8>,
}

/// The sockets of each channel.
type Sockets = Arc<Mutex<Vec<Vec<Socket>>>>;

pub(crate) struct Raw {
    sockets: Sockets,
    writes: Writes,
    _runtime: tokio::runtime::Runtime,
}

impl Raw {
    pub(crate) fn start(writes: Writes) -> Result<(SocketAddr, Self), String> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let sockets = Sockets::default();
        runtime.spawn(accept(listener, sockets.clone()));
        Ok((address, Self { sockets, writes, _runtime: runtime }))
    }
}

async fn accept(listener: TcpListener, sockets: Sockets) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let sockets = sockets.clone();
        tokio::spawn(async move {
            // A client that breaks off is missed where deliveries are counted.
            let Some(channel) = greet::greet(&mut stream).await else { return };
            let Ok(()) = stream.set_nodelay(true) else { return };
            let Ok(stream) = stream.into_std() else { return };
            let mut sockets = sockets.lock().unwrap_or_else(PoisonError::into_inner);
            let index = channel as usize;
            if sockets.len() <= index {
                sockets.resize_with(index + 1, Vec::new);
            }
            sockets[index].push(Socket { stream, waiting: Vec::new() });
        });
    }
}

impl Peer for Raw {
    fn publish(&mut self, events: &[Event]) -> Result<(), String> {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut touched = Vec::new();
        match self.writes {
            Writes::Each => {
                for event in events {
                    let frame = frame::of_server(frame::TEXT, sample::message(event).as_bytes());
                    write(&mut sockets, event.channel, &frame);
                    touched.push(event.channel);
                }
            }
            Writes::Joined => {
                for (channel, frames) in joined(events) {
                    write(&mut sockets, channel, &frames);
                    touched.push(channel);
                }
            }
        }
        touched.sort_unstable();
        touched.dedup();
        drain(&mut sockets, &touched)
    }
}

fn joined(events: &[Event]) -> std::collections::BTreeMap<u32, Vec<u8>> {
    let mut joined = std::collections::BTreeMap::<u32, Vec<u8>>::new();
    for event in events {
        let frame = frame::of_server(frame::TEXT, sample::message(event).as_bytes());
        joined.entry(event.channel).or_default().extend(frame);
    }
    joined
}

fn write(sockets: &mut [Vec<Socket>], channel: u32, bytes: &[u8]) {
    for socket in sockets.get_mut(channel as usize).into_iter().flatten() {
        if socket.waiting.is_empty() {
            let taken = socket.take(bytes);
            socket.waiting.extend_from_slice(&bytes[taken..]);
        } else {
            socket.waiting.extend_from_slice(bytes);
        }
    }
}

impl Socket {
    /// How much the kernel took. One that is gone takes all.
    fn take(&mut self, bytes: &[u8]) -> usize {
        match self.stream.write(bytes) {
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => bytes.len(),
        }
    }
}

/// Until the kernel has all.
fn drain(sockets: &mut [Vec<Socket>], channels: &[u32]) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let (mut left, mut moved) = (false, false);
        for channel in channels {
            let sockets = sockets.get_mut(*channel as usize).into_iter().flatten();
            for socket in sockets.filter(|socket| !socket.waiting.is_empty()) {
                let waiting = std::mem::take(&mut socket.waiting);
                let taken = socket.take(&waiting);
                socket.waiting = waiting[taken..].to_vec();
                moved |= taken > 0;
                left |= !socket.waiting.is_empty();
            }
        }
        if !left {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err("clients do not read".into());
        }
        if !moved {
            clock::sleep_until(clock::now() + LOOK_AGAIN);
        }
    }
}
