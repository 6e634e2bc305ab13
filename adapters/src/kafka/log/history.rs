//! Reading behind the window: some threads, each for some of the partitions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use rdkafka::message::BorrowedMessage;
use sluice_schema::{
    event::RecordedEvent,
    position::{Partition, Seq},
};
use sluice_subscriptions::log::LogError;
use tokio::sync::oneshot;

use super::{
    blocks::{Block, Blocks},
    look::{Fault, Habits, Look, Seen},
    shared::{OTHER_EPOCH, Shared},
};
use crate::kafka::{
    record,
    seek::{Seek, Step},
};

/// Each jump waits for the request before it.
pub(super) const HABITS: Habits = Habits { client: "history", patience: Duration::from_millis(5) };

/// After so long without a question nothing more is fetched ahead.
const IDLE: Duration = Duration::from_secs(1);

/// A question of one reader.
pub(super) struct Request {
    pub(super) partition: Partition,
    pub(super) after: Seq,
    pub(super) limit: usize,
    /// Nobody waits for it any longer than this.
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Result<Vec<Arc<RecordedEvent>>, LogError>>,
}

pub(super) struct History {
    shared: Arc<Shared>,
    look: Look,
    blocks: Blocks,
    fetches: Arc<AtomicU64>,
    /// Where the client reads on by itself.
    reads_on: Option<(Partition, i64)>,
}

enum Fetched {
    Block(Block),
    /// Everything up to this seq is gone.
    Gone(Seq),
}

impl History {
    pub(super) fn new(shared: Arc<Shared>, look: Look, fetches: Arc<AtomicU64>) -> Self {
        Self { shared, look, blocks: Blocks::default(), fetches, reads_on: None }
    }

    /// The thread's whole life.
    pub(super) fn run(mut self, requests: &mpsc::Receiver<Request>) {
        loop {
            match requests.recv_timeout(IDLE) {
                Ok(request) => self.serve(request),
                Err(mpsc::RecvTimeoutError::Timeout) => self.rest(),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn rest(&mut self) {
        if self.reads_on.take().is_some() {
            self.look.rest();
        }
    }

    /// A client that is left at the end of a partition asks for more on and on.
    fn rest_unless_reading_on(&self) {
        if self.reads_on.is_none() {
            self.look.rest();
        }
    }

    fn serve(&mut self, request: Request) {
        if request.reply.is_closed() {
            return;
        }
        let answer = self.read(&request);
        // The reader may have gone in the meantime; the next one finds the block.
        let _ = request.reply.send(answer);
    }

    fn read(&mut self, request: &Request) -> Result<Vec<Arc<RecordedEvent>>, LogError> {
        let Request { partition, after, limit, .. } = *request;
        if let Some(why) = self.shared.over() {
            return Err(LogError::Unavailable(why));
        }
        if let Some(events) = self.blocks.read(partition, after, limit) {
            return Ok(events);
        }
        match self.fetch_in_time(partition, after + 1, request.deadline) {
            Ok(Fetched::Gone(earliest)) => Err(LogError::Gap { partition, earliest }),
            Ok(Fetched::Block(block)) => {
                let events = block.read(partition, after, limit).unwrap_or_default();
                self.blocks.insert(block);
                Ok(events)
            }
            Err(fault) => {
                self.reads_on = None;
                Err(LogError::Unavailable(format!("Kafka: {fault}")))
            }
        }
    }

    /// Retention may pass the place that is being read: then the search starts over.
    fn fetch_in_time(&mut self, partition: Partition, wanted: Seq, deadline: Instant) -> Result<Fetched, Fault> {
        loop {
            match self.fetch(partition, wanted, deadline) {
                Err(Fault::Moved) if Instant::now() < deadline => self.reads_on = None,
                outcome => return outcome,
            }
        }
    }

    /// A block that begins with `wanted`, which is not above the head.
    fn fetch(&mut self, partition: Partition, wanted: Seq, deadline: Instant) -> Result<Fetched, Fault> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("sluice_kafka_fetches_total").increment(1);
        let head = self.shared.head(partition);
        let known = self.blocks.leading_to(partition, wanted).or_else(|| self.shared.last_place(partition));
        let ends = self.look.ends_of(partition, deadline)?;
        let mut seek = Seek::new(wanted, ends.low, ends.high, known, head);
        self.go(partition, seek.at())?;
        loop {
            let (step, found) = match self.look.next(deadline)? {
                Seen::End(_) => (seek.ended(), None),
                // One that is none of ours leads nowhere.
                Seen::Record(message) => match record::place(&message) {
                    Err(_) => (Step::Next, None),
                    Ok((_, _, place)) => (seek.saw(place), Some((self.decode(&message)?, place))),
                },
            };
            match (step, found) {
                (Step::Found, Some((event, place))) => {
                    let mut block = Block::begin(event, place);
                    let at = self.fill(&mut block, head, deadline)?;
                    self.reads_on = at.filter(|_| block.end().seq < head).map(|at| (partition, at));
                    self.rest_unless_reading_on();
                    return Ok(Fetched::Block(block));
                }
                (Step::Next | Step::Found, _) => {}
                (Step::Jump(at), _) => self.go(partition, at)?,
                (Step::Gone(earliest), _) => {
                    self.rest_unless_reading_on();
                    return Ok(Fetched::Gone(earliest));
                }
            }
        }
    }

    fn go(&mut self, partition: Partition, at: i64) -> Result<(), Fault> {
        if self.reads_on.take() == Some((partition, at)) {
            return Ok(());
        }
        self.look.assign([(partition, at)])
    }

    /// Reads on while there is more; the offset at which the client would go on, where it would.
    fn fill(&self, block: &mut Block, head: Seq, deadline: Instant) -> Result<Option<i64>, Fault> {
        let mut at = block.end().offset + 1;
        while block.end().seq < head && !block.is_full() {
            let message = match self.look.next(deadline) {
                Ok(Seen::Record(message)) => message,
                // What was read is true all the same.
                Ok(Seen::End(_)) | Err(_) => return Ok(None),
            };
            let Ok((_, _, place)) = record::place(&message) else { continue };
            at = place.offset + 1;
            if place.seq > block.end().seq + 1 {
                return Ok(None);
            }
            if place.seq == block.end().seq + 1 {
                block.push(self.decode(&message)?, place);
            }
        }
        Ok(Some(at))
    }

    fn decode(&self, message: &BorrowedMessage<'_>) -> Result<Arc<RecordedEvent>, Fault> {
        let event = record::decode(message).map_err(|foreign| Fault::Kafka(foreign.to_string()))?;
        if event.position.epoch == self.shared.epoch {
            return Ok(event);
        }
        self.shared.fail(OTHER_EPOCH.into());
        Err(Fault::Kafka(OTHER_EPOCH.into()))
    }
}
