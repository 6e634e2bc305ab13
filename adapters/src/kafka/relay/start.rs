//! Where a session begins: what is in the topic, compared with the store and the checkpoint.

use std::{sync::Arc, thread, time::Instant};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, ReadVector, Seq},
};
use sluice_subscriptions::log::LogError;
use tokio::{task::spawn_blocking, time::sleep};

use super::{Ended, Relay, RelayError, SOURCE_PAUSE, flight::Start};
use crate::kafka::{
    client::{KafkaOptions, Reports},
    record,
};

/// What was seen of a partition.
#[derive(Default)]
struct Seen {
    low: i64,
    high: i64,
    /// The record at offset 0, if that is still there.
    first: Option<Arc<RecordedEvent>>,
    last: Option<Arc<RecordedEvent>>,
}

/// How much is looked at.
type Look = fn(&KafkaOptions, &BaseConsumer<Reports>, Partition) -> Result<Vec<Seen>, Ended>;

impl Relay {
    /// For each partition where to go on.
    pub(super) async fn find_start(&self, confirmed: &ReadVector) -> Result<Vec<Start>, Ended> {
        let seen = self.look_by(look_with).await?;
        let earliest = self.source.earliest().await.map_err(unavailable)?;
        let mut starts = Vec::new();
        for ((partition, confirmed), seen) in confirmed.partitions().zip(seen) {
            let begin = begin(&seen, self.source.epoch(), confirmed).map_err(|not| match not {
                Not::Ours(why) => self.not_ours(why),
                Not::TheSame(why) => self.made_anew(why),
            })?;
            if let Some(last) = seen.last.filter(|last| last.position.seq > earliest.get(partition)) {
                self.compare(&last).await?;
            }
            starts.push(Start { seq: begin.max(earliest.get(partition)), offset: seen.high });
        }
        Ok(starts)
    }

    /// For each partition the offset behind its last record, as it is now.
    pub(super) async fn find_ends(&self) -> Result<Vec<i64>, Ended> {
        let seen = self.look_by(edges).await?;
        Ok(seen.iter().map(|seen| seen.high).collect())
    }

    async fn look_by(&self, way: Look) -> Result<Vec<Seen>, Ended> {
        let (kafka, partitions) = (self.kafka.clone(), self.source.partitions());
        let looked = spawn_blocking(move || look(&kafka, partitions, way)).await;
        looked.unwrap_or_else(|_| Err(Ended::Failed("the look at the topic was given up".into())))
    }

    /// Whether the store has the topic's last event too: one that was restored from a backup may not.
    async fn compare(&self, last: &RecordedEvent) -> Result<(), Ended> {
        let (partition, seq) = (last.position.partition, last.position.seq);
        loop {
            let events = self.source.read(partition, seq - 1, 1).await.map_err(unavailable)?;
            match events.iter().find(|event| event.position.seq == seq) {
                Some(event) if event.header.event_id == last.header.event_id => return Ok(()),
                Some(_) => return Err(self.not_ours("it holds other events than the store")),
                None if self.source.acknowledged().await.map_err(unavailable)?.get(partition) < seq => {
                    return Err(Ended::Failed("the topic is ahead of the store: was the store restored?".into()));
                }
                // A log may answer with fewer events than it has.
                None => sleep(SOURCE_PAUSE).await,
            }
        }
    }
}

/// Why the relay can't go on with the topic that it finds.
#[derive(Debug, PartialEq, Eq)]
enum Not {
    Ours(&'static str),
    TheSame(&'static str),
}

/// The seq up to which everything is in the topic.
fn begin(seen: &Seen, epoch: Epoch, confirmed: Seq) -> Result<Seq, Not> {
    let first = seen.first.as_ref().map(|event| event.position);
    let last = seen.last.as_ref().map(|event| event.position);
    if [first, last].into_iter().flatten().any(|position| position.epoch != epoch) {
        return Err(Not::Ours("it holds events of another epoch"));
    }
    if confirmed > 0 && seen.high == 0 {
        return Err(Not::TheSame("it is empty, and events were relayed to it"));
    }
    if confirmed > 0 && first.is_some_and(|first| first.seq > confirmed) {
        return Err(Not::TheSame("it begins behind what was relayed to it"));
    }
    // A tail that the brokers lost is sent again.
    Ok(last.map_or(confirmed, |last| confirmed.min(last.seq)))
}

/// Blocks.
fn look(kafka: &KafkaOptions, partitions: Partition, way: Look) -> Result<Vec<Seen>, Ended> {
    let consumer: BaseConsumer<Reports> = kafka
        .consumer(&format!("{}-relay", kafka.client_id))?
        // Just the edges are looked at.
        .set("queued.min.messages", "1")
        .set("fetch.message.max.bytes", "65536")
        // Left alone, the second look waits a second for the first one's queue.
        .set("fetch.queue.backoff.ms", "10")
        .create_with_context(Reports::of("relay-start"))
        .map_err(|error| kafka.refused(&error))?;
    let seen = way(kafka, &consumer, partitions);
    // Its end waits for threads of its own.
    thread::spawn(move || drop(consumer));
    seen
}

fn edges(kafka: &KafkaOptions, consumer: &BaseConsumer<Reports>, partitions: Partition) -> Result<Vec<Seen>, Ended> {
    let edges = |partition: Partition| {
        let edges = consumer.fetch_watermarks(&kafka.topic, partition.into(), kafka.deadline);
        let (low, high) = edges.map_err(|error| Ended::from(&error))?;
        Ok(Seen { low, high, ..Seen::default() })
    };
    (0..partitions).map(edges).collect()
}

fn look_with(
    kafka: &KafkaOptions,
    consumer: &BaseConsumer<Reports>,
    partitions: Partition,
) -> Result<Vec<Seen>, Ended> {
    let mut seen = edges(kafka, consumer, partitions)?;
    let firsts = read_each(kafka, consumer, &seen, |seen| (seen.low == 0 && seen.high > 0).then_some(0))?;
    let lasts = read_each(kafka, consumer, &seen, |seen| (seen.high > seen.low).then_some(seen.high - 1))?;
    for (seen, (first, last)) in seen.iter_mut().zip(firsts.into_iter().zip(lasts)) {
        (seen.first, seen.last) = (first, last);
    }
    Ok(seen)
}

type Records = Vec<Option<Arc<RecordedEvent>>>;

/// One record of each partition, at the offset that `at` names.
fn read_each(
    kafka: &KafkaOptions,
    consumer: &BaseConsumer<Reports>,
    seen: &[Seen],
    at: impl Fn(&Seen) -> Option<i64>,
) -> Result<Records, Ended> {
    let mut assignment = TopicPartitionList::new();
    for (partition, offset) in (0..).zip(seen.iter().map(at)) {
        if let Some(offset) = offset {
            assignment
                .add_partition_offset(&kafka.topic, partition, Offset::Offset(offset))
                .map_err(|error| Ended::from(&error))?;
        }
    }
    consumer.assign(&assignment).map_err(|error| Ended::from(&error))?;
    let mut records: Records = vec![None; seen.len()];
    let (mut left, until) = (assignment.count(), Instant::now() + kafka.deadline);
    while left > 0 {
        let waited = consumer.poll(until.saturating_duration_since(Instant::now()));
        let message = waited.unwrap_or(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)));
        let message = match message {
            // Who has no group needs no right on it.
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => continue,
            message => message.map_err(|error| Ended::from(&error))?,
        };
        let slot = usize::try_from(message.partition()).ok().and_then(|partition| records.get_mut(partition));
        if let Some(slot) = slot.filter(|slot| slot.is_none()) {
            let foreign = |error: record::Foreign| {
                Ended::Error(RelayError::NotOurs { topic: kafka.topic.clone(), why: error.to_string() })
            };
            *slot = Some(record::decode(&message).map_err(foreign)?);
            left -= 1;
        }
    }
    Ok(records)
}

fn unavailable(error: LogError) -> Ended {
    Ended::Failed(error.to_string())
}
