//! Following the topic: one thread that reads all partitions at their ends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::message::BorrowedMessage;
use sluice_schema::{
    event::RecordedEvent,
    position::{Partition, ReadVector},
};
use tokio::sync::oneshot;

use super::{
    look::{Fault, Habits, Look, Seen},
    shared::{OTHER_EPOCH, SHORTER, Shared},
    track::{Take, Track},
};
use crate::kafka::{OpenError, record};

pub(super) const HABITS: Habits = Habits { client: "log", patience: Duration::from_millis(100) };

/// The longest that an order to stop waits.
const POLL: Duration = Duration::from_millis(100);

/// Records that are published together at most.
const BATCH: usize = 512;

/// How long a partition that seems to be shorter than it was may take to be itself again: a new leader learns where the
/// end is a moment after it leads.
const DOUBT: Duration = Duration::from_secs(2);

const RETRY: Duration = Duration::from_millis(500);

pub(super) struct Live {
    pub(super) shared: Arc<Shared>,
    pub(super) look: Look,
    pub(super) tracks: Vec<Track>,
    /// When to compare the places with the partitions' ends.
    compare_at: Option<Instant>,
    /// Since when a partition seems to be shorter than it was.
    doubt: Option<Instant>,
}

pub(super) type Batch = Vec<(Arc<RecordedEvent>, i64)>;

/// The thread's whole life; `opened` hears when the heads are those of the topic.
pub(super) fn run(shared: Arc<Shared>, relayed: &ReadVector, opened: oneshot::Sender<Result<(), OpenError>>) {
    let live = Live::open(shared, relayed);
    let (mut live, outcome) = match live {
        Ok(live) => (Some(live), Ok(())),
        Err(error) => (None, Err(error)),
    };
    // Nobody waits any more where the opening was given up; the handle is gone too, then.
    let wanted = opened.send(outcome).is_ok();
    if let Some(live) = live.as_mut().filter(|_| wanted) {
        live.follow();
    }
}

impl Live {
    pub(super) fn new(shared: Arc<Shared>, look: Look) -> Self {
        Self { shared, look, tracks: Vec::new(), compare_at: None, doubt: None }
    }

    pub(super) fn next_offsets(&self) -> impl Iterator<Item = i64> + '_ {
        self.tracks.iter().map(|track| track.next)
    }

    pub(super) fn assign(&self) -> Result<(), Fault> {
        let places = (0..).zip(&self.tracks).map(|(partition, track)| (partition, track.next));
        self.look.assign(places)
    }

    fn follow(&mut self) {
        while self.shared.over().is_none() {
            if let Err(why) = self.turn() {
                self.shared.fail(why);
            }
        }
    }

    fn turn(&mut self) -> Result<(), String> {
        if self.shared.renewal_ordered() {
            self.renew();
        }
        if self.compare_at.is_some_and(|at| at <= Instant::now()) {
            self.compare()?;
        }
        let mut batch = Batch::new();
        let outcome = self.drain(&mut batch);
        // What came before a failure is true.
        self.shared.publish(batch, self.next_offsets());
        if outcome? && self.assign().is_err() {
            self.compare_at = Some(Instant::now() + RETRY);
        }
        Ok(())
    }

    /// Takes what has come; whether some partition has to be read again.
    fn drain(&mut self, batch: &mut Batch) -> Result<bool, String> {
        let mut wait = POLL;
        while batch.len() < BATCH {
            match self.look.poll(wait) {
                None => break,
                Some(Ok(Seen::End(_)) | Err(Fault::Late)) => {}
                Some(Ok(Seen::Record(message))) => {
                    if take(&self.shared, &mut self.tracks, &message, batch)? {
                        return Ok(true);
                    }
                }
                Some(Err(Fault::Moved)) => {
                    self.compare_at = Some(Instant::now());
                    break;
                }
                // The client tries again by itself; its errors are counted.
                Some(Err(Fault::Kafka(_))) => break,
            }
            wait = Duration::ZERO;
        }
        Ok(false)
    }

    /// An offset was not there: retention may have passed it, or this is not the topic that it was.
    fn compare(&mut self) -> Result<(), String> {
        self.compare_at = Some(Instant::now() + RETRY);
        let Ok(ends) = self.look.ends(self.shared.partitions, Instant::now() + self.shared.kafka.deadline) else {
            return Ok(());
        };
        if self.tracks.iter().zip(&ends).any(|(track, ends)| ends.high < track.next) {
            let since = *self.doubt.get_or_insert_with(Instant::now);
            return if since.elapsed() < DOUBT { Ok(()) } else { Err(SHORTER.into()) };
        }
        self.doubt = None;
        for (track, ends) in self.tracks.iter_mut().zip(&ends) {
            track.next = track.next.max(ends.low);
        }
        if self.assign().is_ok() {
            self.compare_at = None;
        }
        Ok(())
    }

    fn renew(&mut self) {
        match Look::open(&self.shared.kafka, HABITS) {
            Ok(look) => {
                self.look = look;
                self.compare_at = Some(Instant::now());
            }
            Err(error) => tracing::warn!("the log's client can't be made anew: {error}"),
        }
    }
}

/// Puts a new event into the batch; whether its partition has to be read again.
pub(super) fn take(
    shared: &Shared,
    tracks: &mut [Track],
    message: &BorrowedMessage<'_>,
    batch: &mut Batch,
) -> Result<bool, String> {
    let Some((track, place)) = place(shared, tracks, message)? else { return Ok(false) };
    match track.take(place) {
        Take::Repeat => Ok(false),
        Take::ReadAgain => Ok(true),
        Take::Event => {
            match record::decode(message) {
                Ok(event) => batch.push((event, place.offset)),
                Err(foreign) => return Err(foreign.to_string()),
            }
            Ok(false)
        }
    }
}

/// A record that is none of ours harms nothing and is passed over.
fn place<'t>(
    shared: &Shared,
    tracks: &'t mut [Track],
    message: &BorrowedMessage<'_>,
) -> Result<Option<(&'t mut Track, record::Place)>, String> {
    use rdkafka::Message as _;
    match record::place(message) {
        Ok((epoch, _, _)) if epoch != shared.epoch => Err(OTHER_EPOCH.into()),
        Ok((_, partition, place)) => Ok(tracks.get_mut(usize::from(partition)).map(|track| (track, place))),
        Err(foreign) => {
            metrics::counter!("sluice_kafka_errors_total", "client" => HABITS.client).increment(1);
            tracing::warn!(partition = message.partition(), "{foreign}");
            let partition = Partition::try_from(message.partition()).unwrap_or_default();
            if let Some(track) = tracks.get_mut(usize::from(partition)) {
                track.next = message.offset() + 1;
            }
            Ok(None)
        }
    }
}
