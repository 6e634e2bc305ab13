//! A server's side of a run: it makes the events itself, so that none pays for how they come in, and publishes them.

use std::io::{BufRead, Write};

use crate::{
    clock,
    command::{Answer, Command, Events},
    sample::Event,
};

/// Something that sends events to whoever subscribed.
pub(crate) trait Peer {
    /// Hands over events that are due, in order.
    fn publish(&mut self, events: &[Event]) -> Result<(), String>;

    /// See [`Command::Prepare`].
    fn prepare(&mut self, _members: u32, _staff: u32) -> Result<(), String> {
        Ok(())
    }
}

/// Does what it is told until the orchestrator is gone.
pub(crate) fn serve(address: std::net::SocketAddr, peer: &mut dyn Peer) -> Result<(), String> {
    say(&Answer::Address(address))?;
    let mut generator = Generator::default();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let command = serde_json::from_str(&line).map_err(|error| format!("{error} in {line}"))?;
        let done = match command {
            Command::Prepare { members, staff } => peer.prepare(members, staff).map(|()| 0),
            Command::Paced { rate, events } => generator.paced(peer, rate, events),
            Command::Burst(events) => generator.burst(peer, events),
        };
        say(&done.map_or_else(Answer::Failed, |late_us| Answer::Done { late_us }))?;
    }
    Ok(())
}

fn say(answer: &Answer) -> Result<(), String> {
    let line = serde_json::to_string(answer).map_err(|error| error.to_string())?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}

/// Each channel has its turn, but neighbours do not come one after the other. A prime, so that none is left out.
const STRIDE: u64 = 7919;

/// How many events are handed over at once at most, where many are due.
const TOGETHER: usize = 1000;

#[derive(Default)]
struct Generator {
    /// The last sequence number of each channel.
    last: Vec<u64>,
}

impl Generator {
    /// An open loop: an event is due when it is due, however long those before it took.
    fn paced(&mut self, peer: &mut dyn Peer, rate: f64, events: Events) -> Result<u64, String> {
        let begin = clock::now() + 1_000_000;
        let due = |number: u64| begin + (number as f64 * 1e9 / rate) as u64;
        let (mut number, mut latest) = (0, 0);
        let mut batch = Vec::new();
        while number < events.events {
            clock::sleep_until(due(number));
            let now = clock::now();
            latest = latest.max(now.saturating_sub(due(number)));
            batch.clear();
            while number < events.events && batch.len() < TOGETHER && due(number) <= now {
                batch.push(self.event(number, events, due(number)));
                number += 1;
            }
            peer.publish(&batch)?;
        }
        Ok(latest / 1000)
    }

    fn burst(&mut self, peer: &mut dyn Peer, events: Events) -> Result<u64, String> {
        let due = clock::now();
        let all: Vec<Event> = (0..events.events).map(|number| self.event(number, events, due)).collect();
        peer.publish(&all)?;
        Ok(0)
    }

    fn event(&mut self, number: u64, events: Events, due: u64) -> Event {
        let turn = u32::try_from(number * STRIDE % u64::from(events.channels.max(1))).unwrap_or_default();
        let channel = events.first + turn;
        let index = channel as usize;
        if self.last.len() <= index {
            self.last.resize(index + 1, 0);
        }
        self.last[index] += 1;
        Event { channel, seq: self.last[index], due }
    }
}
