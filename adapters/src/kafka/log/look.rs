//! A consumer that is told where to read.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::BorrowedMessage,
    topic_partition_list::TopicPartitionListElem,
    types::RDKafkaErrorCode as Code,
};
use sluice_schema::position::Partition;

use crate::kafka::{
    KafkaOptions, OpenError,
    client::Reports,
    error::{of_code, sentence},
};

/// librdkafka asks for a group's name; nobody joins it.
const GROUP: &str = "sluice-log";

/// Before a request that was refused is made again.
const PAUSE: Duration = Duration::from_millis(20);

/// For one broker to say who leads the partitions; another one may be quicker.
const ONE_ANSWER: Duration = Duration::from_secs(1);

/// Reads the records of some partitions from given offsets on. All calls block, and so does its end (up to 0.6 s): it
/// belongs on a thread of its own.
pub(super) struct Look {
    consumer: BaseConsumer<Reports>,
    topic: String,
}

/// How a client is used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// Its name in logs and metrics.
    pub(super) client: &'static str,
    /// How long a broker keeps a request that it has nothing for. Whoever jumps about waits for the one before.
    pub(super) patience: Duration,
}

/// What was read.
pub(super) enum Seen<'a> {
    Record(BorrowedMessage<'a>),
    /// There is nothing more in this partition now.
    End(Partition),
}

/// Why nothing was read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The asked offset is not there: retention has passed it, or the partition is shorter than it was.
    Moved,
    /// The deadline has passed.
    Late,
    /// The client goes on by itself.
    Kafka(String),
}

/// A partition's first offset, and the one behind its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) low: i64,
    pub(super) high: i64,
}

impl Look {
    pub(super) fn open(kafka: &KafkaOptions, habits: Habits) -> Result<Self, OpenError> {
        let consumer = kafka
            .consumer(GROUP)?
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", habits.patience.as_millis().to_string())
            // Memory: records wait with the brokers, not in here.
            .set("queued.min.messages", "2000")
            .set("queued.max.messages.kbytes", "4096")
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.max.bytes", "16777216")
            .create_with_context(Reports::of(habits.client))
            .map_err(|error| kafka.refused(&error))?;
        Ok(Self { consumer, topic: kafka.topic.clone() })
    }

    /// Reads from these offsets on, and no other partition.
    pub(super) fn assign(&self, places: impl IntoIterator<Item = (Partition, i64)>) -> Result<(), Fault> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in places {
            list.add_partition_offset(&self.topic, partition.into(), Offset::Offset(offset)).map_err(kafka_fault)?;
        }
        self.consumer.assign(&list).map_err(kafka_fault)?;
        self.settle()
    }

    /// Reads nothing until the next `assign`.
    pub(super) fn rest(&self) {
        // It fails where the client is at its end, and then it rests anyway.
        let _ = self.consumer.unassign().map_err(kafka_fault).and_then(|()| self.settle());
    }

    /// Waits until reading from the places before has stopped. A client that is moved on or closed sooner stops it twice,
    /// which aborts the process (librdkafka issue 5573). The stop and its confirmation go
    /// through the same queue as these requests: the first answer is behind the stop, the second behind the confirmation.
    fn settle(&self) -> Result<(), Fault> {
        for _ in 0..2 {
            self.consumer.assignment().map_err(kafka_fault)?;
        }
        Ok(())
    }

    /// The next record or end, if one comes within `wait`.
    pub(super) fn poll(&self, wait: Duration) -> Option<Result<Seen<'_>, Fault>> {
        Some(match self.consumer.poll(wait)? {
            Ok(message) => Ok(Seen::Record(message)),
            Err(KafkaError::PartitionEOF(partition)) => Ok(Seen::End(Partition::try_from(partition).unwrap_or(0))),
            Err(error) => Err(kafka_fault(error)),
        })
    }

    /// The next record or end; the client's own troubles are waited out until `deadline`.
    pub(super) fn next(&self, deadline: Instant) -> Result<Seen<'_>, Fault> {
        let mut trouble = Fault::Late;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.poll(left) {
                Some(Ok(seen)) => return Ok(seen),
                Some(Err(Fault::Moved)) => return Err(Fault::Moved),
                Some(Err(other)) => trouble = other,
                None if left.is_zero() => return Err(trouble),
                None => {}
            }
        }
    }

    /// Where partitions `0..partitions` begin and end now. What passes (a partition that changes its leader) is waited out.
    pub(super) fn ends(&self, partitions: Partition, deadline: Instant) -> Result<Vec<Ends>, Fault> {
        self.ends_in_time(0..partitions, deadline)
    }

    pub(super) fn ends_of(&self, partition: Partition, deadline: Instant) -> Result<Ends, Fault> {
        self.ends_in_time(partition..partition + 1, deadline)?.first().copied().ok_or(Fault::Late)
    }

    fn ends_in_time(&self, partitions: Range<Partition>, deadline: Instant) -> Result<Vec<Ends>, Fault> {
        let ends = || {
            let lows = self.offsets(partitions.clone(), Offset::Beginning, deadline)?;
            let highs = self.offsets(partitions.clone(), Offset::End, deadline)?;
            Ok(lows.into_iter().zip(highs).map(|(low, high)| Ends { low, high }).collect())
        };
        loop {
            match ends() {
                Err(Fault::Kafka(_)) if Instant::now() + PAUSE < deadline => {
                    std::thread::park_timeout(PAUSE);
                    self.learn_leaders(deadline);
                }
                outcome => return outcome,
            }
        }
    }

    /// Asks who leads the partitions. A client that was told once that nobody does (its broker stood still and was taken
    /// for dead) refuses every request for offsets as one for an unknown partition, and asks again by itself only for
    /// partitions that it reads just now: otherwise with `topic.metadata.refresh.interval.ms`.
    fn learn_leaders(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        // What comes of it shows when the offsets are asked for again.
        let _ = self.consumer.fetch_metadata(Some(&self.topic), left.min(ONE_ANSWER));
    }

    /// Kafka's ListOffsets, in which -2 and -1 in place of a time stand for the first offset and the one behind the last.
    fn offsets(&self, partitions: Range<Partition>, which: Offset, deadline: Instant) -> Result<Vec<i64>, Fault> {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition_offset(&self.topic, partition.into(), which).map_err(kafka_fault)?;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let list = self.consumer.offsets_for_times(list, left).map_err(kafka_fault)?;
        let offset = |element: &TopicPartitionListElem<'_>| {
            element.error().map_err(kafka_fault)?;
            match element.offset() {
                Offset::Offset(offset) => Ok(offset),
                _ => Err(Fault::Late),
            }
        };
        list.elements().iter().map(offset).collect()
    }
}

fn kafka_fault(error: KafkaError) -> Fault {
    match error.rdkafka_error_code() {
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => Fault::Moved,
        _ => Fault::Kafka(sentence(&error)),
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Moved => f.write_str(&of_code(Code::OffsetOutOfRange)),
            Self::Late => f.write_str(&of_code(Code::OperationTimedOut)),
            Self::Kafka(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rdkafka::{
        ClientConfig,
        mocking::MockCluster,
        producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
    };

    use super::*;

    const TOPIC: &str = "events";
    const RECORDS: i64 = 100;

    fn cluster() -> (MockCluster<'static, DefaultProducerContext>, KafkaOptions) {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, 2, 1).unwrap();
        let brokers = cluster.bootstrap_servers();
        let producer: ThreadedProducer<DefaultProducerContext> =
            ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        for number in 0..RECORDS * 2 {
            let partition = i32::try_from(number % 2).unwrap();
            producer.send(BaseRecord::<(), str>::to(TOPIC).partition(partition).payload("x")).unwrap();
        }
        producer.flush(Duration::from_secs(30)).unwrap();
        let options = KafkaOptions {
            brokers,
            topic: TOPIC.into(),
            properties: BTreeMap::new(),
            client_id: "test".into(),
            deadline: Duration::from_secs(30),
        };
        (cluster, options)
    }

    fn open(kafka: &KafkaOptions) -> Look {
        Look::open(kafka, Habits { client: "test", patience: Duration::from_millis(5) }).unwrap()
    }

    fn offset_of_next(look: &Look) -> i64 {
        use rdkafka::Message as _;
        loop {
            if let Seen::Record(message) = look.next(Instant::now() + Duration::from_secs(30)).unwrap() {
                return message.offset();
            }
        }
    }

    #[test]
    fn moved_on_at_once_it_reads_what_it_was_told_last() {
        let (_cluster, kafka) = cluster();
        let look = open(&kafka);
        for turn in 0..200 {
            look.assign([(0, turn % RECORDS), (1, 0)]).unwrap();
            if turn % 3 == 0 {
                look.rest();
            }
            look.assign([(0, 1)]).unwrap();
            look.assign([(0, turn % RECORDS)]).unwrap();
            if turn % 5 == 0 {
                assert_eq!(offset_of_next(&look), turn % RECORDS);
            }
        }
    }

    #[test]
    fn it_may_be_closed_at_any_time() {
        let (_cluster, kafka) = cluster();
        for _ in 0..5 {
            let look = open(&kafka);
            look.assign([(0, 1)]).unwrap();
            assert_eq!(offset_of_next(&look), 1);
            look.assign([(0, 2)]).unwrap();
        }
    }

    #[test]
    fn the_ends_are_those_of_the_records() {
        let (_cluster, kafka) = cluster();
        let look = open(&kafka);
        let ends = Ends { low: 0, high: RECORDS };
        let deadline = Instant::now() + Duration::from_secs(30);
        assert_eq!(look.ends(2, deadline).unwrap(), [ends, ends]);
        assert_eq!(look.ends_of(1, deadline).unwrap(), ends);
    }

    #[test]
    fn a_partition_that_had_no_leader_for_a_moment_is_asked_for_again() {
        let (cluster, kafka) = cluster();
        let look = open(&kafka);
        let soon = || Instant::now() + Duration::from_secs(10);
        look.ends(2, soon()).unwrap();
        for led_by_nobody in [vec![0, 1], vec![1]] {
            for partition in &led_by_nobody {
                cluster.partition_leader(TOPIC, *partition, None).unwrap();
            }
            // Not for the topic by its name: a client that was asked so keeps the topic in its mind.
            look.consumer.fetch_metadata(None, Duration::from_secs(10)).unwrap();
            look.ends(2, Instant::now() + PAUSE * 10).expect_err("nobody leads it");
            for partition in led_by_nobody {
                cluster.partition_leader(TOPIC, partition, Some(1)).unwrap();
            }
            assert_eq!(look.ends(2, soon()).unwrap(), [Ends { low: 0, high: RECORDS }; 2]);
        }
    }
}
