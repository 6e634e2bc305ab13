//! Opening the log: how far the topic is, and whether it is the right one.

use std::{sync::Arc, time::Instant};

use sluice_schema::position::ReadVector;

use super::{
    live::{Batch, HABITS, Live, take},
    look::{Ends, Fault, Look, Seen},
    shared::Shared,
    track::Track,
};
use crate::kafka::OpenError;

/// How many of a partition's last records are read at the start: some of those who come back ask for them, and a
/// relay that repeats itself hides the highest seq behind lower ones.
const FAMILIAR: i64 = 128;

enum NotOpened {
    Fault(Fault),
    /// Events were relayed to a topic of this name, and this one has never held any.
    MadeAnew,
    /// It is not the topic that the store was relayed to.
    Wrong(String),
}

impl From<Fault> for NotOpened {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Live {
    /// Publishes what is there; `relayed` is known to have been there.
    pub(super) fn open(shared: Arc<Shared>, relayed: &ReadVector) -> Result<Self, OpenError> {
        let deadline = Instant::now() + shared.kafka.deadline;
        let look = Look::open(&shared.kafka, HABITS)?;
        let mut live = Self::new(shared, look);
        let (brokers, topic) = (live.shared.kafka.brokers.clone(), live.shared.kafka.topic.clone());
        loop {
            match live.catch_up(relayed, deadline) {
                Ok(()) => return Ok(live),
                // Retention was quicker.
                Err(NotOpened::Fault(Fault::Moved)) if Instant::now() < deadline => {}
                Err(NotOpened::Fault(fault)) => return Err(OpenError::Unreachable { brokers, why: fault.to_string() }),
                Err(NotOpened::MadeAnew) => return Err(OpenError::MadeAnew { topic }),
                Err(NotOpened::Wrong(why)) => return Err(OpenError::Topic { topic, why }),
            }
        }
    }

    fn catch_up(&mut self, relayed: &ReadVector, deadline: Instant) -> Result<(), NotOpened> {
        let ends = self.look.ends(self.shared.partitions, deadline)?;
        if made_anew(&ends, relayed) {
            return Err(NotOpened::MadeAnew);
        }
        self.tracks = ends.iter().map(|ends| Track::new(ends.low.max(ends.high - FAMILIAR))).collect();
        self.assign()?;
        let batch = self.read_to(&ends, deadline)?;
        self.shared.publish(batch, self.next_offsets());
        for (track, (_, relayed)) in self.tracks.iter_mut().zip(relayed.partitions()) {
            track.begin_live(relayed);
        }
        self.shared.advance_heads(ReadVector(self.tracks.iter().map(|track| track.last).collect()));
        Ok(())
    }

    fn read_to(&mut self, ends: &[Ends], deadline: Instant) -> Result<Batch, NotOpened> {
        let mut batch = Batch::new();
        while self.tracks.iter().zip(ends).any(|(track, ends)| track.next < ends.high) {
            match self.look.next(deadline)? {
                // A transaction's marks are no records, and have an offset all the same.
                Seen::End(partition) => {
                    if let Some((track, ends)) = self.tracks.iter_mut().zip(ends).nth(partition.into()) {
                        track.next = track.next.max(ends.high);
                    }
                }
                Seen::Record(message) => {
                    take(&self.shared, &mut self.tracks, &message, &mut batch).map_err(NotOpened::Wrong)?;
                }
            }
        }
        Ok(batch)
    }
}

/// Of a partition that has never held a record the relay knows that it copied some to it.
fn made_anew(ends: &[Ends], relayed: &ReadVector) -> bool {
    ends.iter().zip(&relayed.0).any(|(ends, relayed)| *ends == Ends { low: 0, high: 0 } && *relayed > 0)
}
