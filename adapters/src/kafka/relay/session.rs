//! One producer's life: from a look at the topic to the first failure.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sluice_schema::{
    event::RecordedEvent,
    position::{Partition, ReadVector, Seq},
};
use sluice_subscriptions::log::{LogError, reader::read_after};
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};

use super::{
    Ended, Relay, SOURCE_PAUSE,
    flight::{Astray, Flight},
    outbox::{Deliveries, Delivery, Outbox},
};
use crate::kafka::client::count_error;

/// The most events that are read at once.
const READ: usize = 64;

/// How often the topic's ends are compared with what was confirmed.
const COMPARE_EVERY: Duration = Duration::from_secs(10);

/// Pauses while the source is away double up to this.
const LONGEST_SOURCE_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Session<'a> {
    relay: &'a Relay,
    confirmed: &'a watch::Sender<ReadVector>,
    flight: Mutex<Flight>,
    /// Something was confirmed.
    room: Notify,
    outbox: Outbox,
    deliveries: Option<Deliveries>,
}

/// How a partition's turn went; a round over all of them as the greatest of its turns.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// All is sent, or waits for confirmations.
    Done,
    /// The source has not given yet what its heads promise.
    Owed,
    /// There may be more at once.
    Sent,
    /// The source can't be read.
    Away,
}

impl<'a> Session<'a> {
    pub(super) async fn start(relay: &'a Relay, confirmed: &'a watch::Sender<ReadVector>) -> Result<Self, Ended> {
        let known = confirmed.borrow().clone();
        let starts = relay.find_start(&known).await?;
        let (outbox, deliveries) = Outbox::open(&relay.kafka, &relay.key)?;
        let flight = Mutex::new(Flight::new(&starts));
        Ok(Self { relay, confirmed, flight, room: Notify::new(), outbox, deliveries: Some(deliveries) })
    }

    pub(super) async fn run(mut self) -> Ended {
        let Some(deliveries) = self.deliveries.take() else { return Ended::Failed("it ran before".into()) };
        tokio::select! {
            ended = self.send_all() => ended,
            ended = self.confirm_all(deliveries) => ended,
            ended = self.compare_ends() => ended,
        }
    }

    async fn send_all(&self) -> Ended {
        let mut heads = self.relay.source.heads();
        let mut pause = SOURCE_PAUSE;
        loop {
            let known = heads.borrow_and_update().clone();
            self.report_lag(&known);
            let turn = match self.send_round(&known).await {
                Ok(turn) => turn,
                Err(ended) => return ended,
            };
            match turn {
                Turn::Sent => {}
                Turn::Owed => sleep(SOURCE_PAUSE).await,
                Turn::Away => sleep(pause).await,
                Turn::Done => tokio::select! {
                    changed = heads.changed() => if changed.is_err() {
                        return Ended::Failed("the store is closed".into());
                    },
                    () = self.room.notified() => {}
                },
            }
            pause = if turn == Turn::Away { (pause * 2).min(LONGEST_SOURCE_PAUSE) } else { SOURCE_PAUSE };
        }
    }

    async fn send_round(&self, heads: &ReadVector) -> Result<Turn, Ended> {
        let mut round = Turn::Done;
        for (partition, head) in heads.partitions() {
            round = round.max(self.send_some(partition, head).await?);
        }
        Ok(round)
    }

    /// Sends what is next in a partition, as far as there is room.
    async fn send_some(&self, partition: Partition, head: Seq) -> Result<Turn, Ended> {
        let (sent, room) = {
            let flight = self.flight();
            (flight.sent(partition), flight.room(partition))
        };
        if sent >= head || room == 0 {
            return Ok(Turn::Done);
        }
        let events = match read_after(self.relay.source.as_ref(), partition, sent, room.min(READ)).await {
            Ok(events) if events.is_empty() => return Ok(Turn::Owed),
            Ok(events) => events,
            Err(LogError::Gap { .. }) => return self.pass_gap(partition, sent).await,
            Err(LogError::Unavailable(why)) => return Ok(away(&why)),
        };
        let sent = self.send_while_room(partition, &events)?;
        Ok(if sent == 0 { Turn::Done } else { Turn::Sent })
    }

    fn send_while_room(&self, partition: Partition, events: &[Arc<RecordedEvent>]) -> Result<usize, Ended> {
        let mut flight = self.flight();
        for (sent, event) in events.iter().enumerate() {
            let bytes = event.payload.0.len();
            if !flight.takes(partition, bytes) {
                return Ok(sent);
            }
            flight.send(partition, event.position.seq, bytes);
            self.outbox.send(event).map_err(|error| Ended::from(&error))?;
        }
        Ok(events.len())
    }

    /// Retention of the store passed what was never relayed. Readers of the topic are told of the gap.
    async fn pass_gap(&self, partition: Partition, sent: Seq) -> Result<Turn, Ended> {
        let earliest = match self.relay.source.earliest().await {
            Ok(earliest) => earliest.get(partition),
            Err(error) => return Ok(away(&error.to_string())),
        };
        if earliest <= sent {
            return Ok(away("the store left events out"));
        }
        metrics::counter!("sluice_relay_lost_events_total").increment(earliest - sent);
        tracing::error!(partition, earliest, "events left the store before they were relayed: keep them longer there");
        self.flight().skip(partition, earliest);
        Ok(Turn::Sent)
    }

    async fn confirm_all(&self, mut deliveries: Deliveries) -> Ended {
        let mut batch = Vec::new();
        while deliveries.recv_many(&mut batch, 1024).await > 0 {
            let confirmed = batch.len() as u64;
            for delivery in batch.drain(..) {
                if let Err(ended) = self.confirm(delivery) {
                    return ended;
                }
            }
            metrics::counter!("sluice_relay_records_total").increment(confirmed);
            self.report_lag(&self.relay.source.heads().borrow());
            self.room.notify_one();
        }
        Ended::Failed("the producer is gone".into())
    }

    fn confirm(&self, delivery: Delivery) -> Result<(), Ended> {
        let Delivery { partition, seq, outcome } = delivery;
        let offset = outcome.map_err(|error| {
            count_error("relay", &error);
            Ended::from(&error)
        })?;
        match self.flight().confirm(partition, seq, offset) {
            Ok(()) => {}
            Err(Astray::OutOfOrder) => return Err(Ended::Failed("a confirmation came out of order".into())),
            Err(Astray::OffsetWentBack) => return Err(self.relay.made_anew("offsets went back: it was made anew")),
        }
        self.confirmed.send_modify(|confirmed| confirmed.advance(partition, seq));
        Ok(())
    }

    fn report_lag(&self, heads: &ReadVector) {
        let confirmed = self.confirmed.borrow();
        let lag: u64 = heads.partitions().map(|(partition, head)| head.saturating_sub(confirmed.get(partition))).sum();
        metrics::gauge!("sluice_relay_lag_events").set(lag as f64);
    }

    /// Ends when the topic ends before what was confirmed: one that has nothing to send would not hear of another topic in the
    /// place of this one. Whether it is another one, the next session's start finds out.
    async fn compare_ends(&self) -> Ended {
        loop {
            sleep(COMPARE_EVERY).await;
            let confirmed = self.flight().next_offsets();
            // Kafka away is the producer's to tell.
            let Ok(ends) = self.relay.find_ends().await else { continue };
            if ends.iter().zip(&confirmed).any(|(end, confirmed)| end < confirmed) {
                return Ended::Failed("the topic ends before what was sent to it".into());
            }
        }
    }

    fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn away(why: &str) -> Turn {
    tracing::warn!(why, "the relay can't read the store");
    Turn::Away
}
