//! Where the log begins, and whether it is still the one that is being followed: one thread.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use sluice_schema::position::{Partition, ReadVector, Seq};
use sluice_subscriptions::log::LogError;
use tokio::sync::oneshot;

use super::{
    look::{Ends, Fault, Habits, Look, Seen},
    shared::{OTHER_EPOCH, SHORTER, Shared},
};
use crate::kafka::record;

pub(super) const HABITS: Habits = Habits { client: "beginning", patience: Duration::from_millis(10) };

/// How often the partitions' ends are compared with what is being read.
const COMPARE: Duration = Duration::from_secs(10);

/// A question for the log's beginning.
pub(super) struct Ask(pub(super) oneshot::Sender<Result<ReadVector, LogError>>);

pub(super) struct Beginning {
    shared: Arc<Shared>,
    look: Look,
    /// The first record of each partition that had one: its offset and its seq.
    first: Vec<Option<(i64, Seq)>>,
    before: Before,
}

/// What the last comparison saw.
#[derive(Default)]
struct Before {
    /// The ends of the partitions.
    high: Vec<i64>,
    shorter: bool,
}

impl Beginning {
    pub(super) fn new(shared: Arc<Shared>, look: Look) -> Self {
        let first = vec![None; shared.partitions.into()];
        Self { shared, look, first, before: Before::default() }
    }

    /// The thread's whole life.
    pub(super) fn run(mut self, asks: &mpsc::Receiver<Ask>) {
        let mut compare_at = Instant::now() + COMPARE;
        loop {
            match asks.recv_timeout(compare_at.saturating_duration_since(Instant::now())) {
                Ok(ask) => self.answer(ask, asks),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.compare();
                    compare_at = Instant::now() + COMPARE;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// All who wait get one answer. Whoever asks meanwhile gets the next one: this one may be older than the question.
    fn answer(&mut self, ask: Ask, asks: &mpsc::Receiver<Ask>) {
        let waiting: Vec<Ask> = std::iter::once(ask).chain(asks.try_iter()).collect();
        let answer = match self.shared.over() {
            Some(why) => Err(why),
            None => self.find().map_err(|fault| format!("Kafka: {fault}")),
        };
        for ask in waiting {
            let answer = answer.clone().map_err(LogError::Unavailable);
            // It may have been given up.
            let _ = ask.0.send(answer);
        }
    }

    fn find(&mut self) -> Result<ReadVector, Fault> {
        let deadline = Instant::now() + self.shared.kafka.deadline;
        loop {
            match self.find_once(deadline) {
                Err(Fault::Moved) if Instant::now() < deadline => {}
                outcome => return outcome,
            }
        }
    }

    fn find_once(&mut self, deadline: Instant) -> Result<ReadVector, Fault> {
        // Before the request: where a partition turns out to be empty, all up to here is gone.
        let heads = self.shared.heads.borrow().clone();
        let ends = self.look.ends(self.shared.partitions, deadline)?;
        self.read_first(&ends, deadline)?;
        let mut found = heads;
        for ((seq, ends), first) in found.0.iter_mut().zip(&ends).zip(&self.first) {
            if let Some((offset, first)) = first
                && *offset == ends.low
            {
                *seq = first.saturating_sub(1);
            }
        }
        self.shared.earliest.send_modify(|earliest| earliest.join(&found));
        Ok(self.shared.earliest.borrow().clone())
    }

    /// Reads the first record of each partition that begins elsewhere than it did.
    fn read_first(&mut self, ends: &[Ends], deadline: Instant) -> Result<(), Fault> {
        let mut open: Vec<(Partition, i64)> = Vec::new();
        for ((partition, ends), first) in (0..).zip(ends).zip(&mut self.first) {
            if ends.low == ends.high {
                *first = None;
            } else if first.is_none_or(|(offset, _)| offset != ends.low) {
                open.push((partition, ends.low));
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        self.look.assign(open.iter().copied())?;
        let outcome = self.read_each(&mut open, deadline);
        self.look.rest();
        outcome
    }

    fn read_each(&mut self, open: &mut Vec<(Partition, i64)>, deadline: Instant) -> Result<(), Fault> {
        while !open.is_empty() {
            let Seen::Record(message) = self.look.next(deadline)? else { continue };
            let Ok((epoch, partition, place)) = record::place(&message) else { continue };
            if epoch != self.shared.epoch {
                self.shared.fail(OTHER_EPOCH.into());
                return Err(Fault::Kafka(OTHER_EPOCH.into()));
            }
            let Some(at) = open.iter().position(|(of, _)| *of == partition) else { continue };
            let (_, low) = open.swap_remove(at);
            if let Some(first) = self.first.get_mut(usize::from(partition)) {
                *first = Some((low, place.seq));
            }
        }
        Ok(())
    }

    /// Twice in a row shorter than what was read: it is another topic. What was there the last time is still unread: the
    /// client that follows it hangs.
    fn compare(&mut self) {
        let before = std::mem::take(&mut self.before);
        let next = self.shared.next_offsets();
        let Ok(ends) = self.look.ends(self.shared.partitions, Instant::now() + self.shared.kafka.deadline) else {
            return;
        };
        let shorter = ends.iter().zip(&next).any(|(ends, next)| ends.high < *next);
        if shorter && before.shorter {
            self.shared.fail(SHORTER.into());
        }
        if before.high.iter().zip(&next).any(|(high, next)| next < high) {
            self.shared.order_renewal();
        }
        self.before = Before { high: ends.iter().map(|ends| ends.high).collect(), shorter };
    }
}
