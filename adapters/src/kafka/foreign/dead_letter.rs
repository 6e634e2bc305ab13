//! Where records go that can't be events.

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    types::RDKafkaErrorCode as Code,
    util::Timeout,
};

use super::{config::ForeignTopic, event::Rejection, record::Record};
use crate::kafka::{
    KafkaOptions, OpenError,
    client::{Detached, Reports},
    error::{of_code, sentence},
};

/// Librdkafka takes no larger record from a topic either.
const LARGEST_LETTER: &str = "100000000";

const CLIENT: &str = "dead-letters";

pub(super) struct DeadLetters {
    kafka: KafkaOptions,
    producer: Detached<FutureProducer<Reports>>,
    from: String,
    topic: String,
}

impl DeadLetters {
    pub(super) fn new(kafka: &KafkaOptions, topic: &ForeignTopic) -> Result<Self, OpenError> {
        let mut config = kafka.producer()?;
        config
            .set("message.max.bytes", LARGEST_LETTER)
            // A letter may be there twice, but a producer that was fenced off for good could write none.
            .set("enable.idempotence", "false")
            .set("max.in.flight.requests.per.connection", "1")
            // How soon a missing topic is told, so that it is made.
            .set("topic.metadata.propagation.max.ms", "2000");
        let producer = config.create_with_context(Reports::of(CLIENT)).map_err(|error| settings(&error))?;
        Ok(Self {
            kafka: kafka.clone(),
            producer: Detached::of(producer),
            from: topic.topic.clone(),
            topic: topic.dead_letter_topic(),
        })
    }

    /// Makes the topic where it is absent. That it can't be made is told, not fatal: it may be there.
    pub(super) async fn create(&self) {
        if let Err(why) = self.try_create().await {
            let topic = self.topic.as_str();
            tracing::warn!(topic, why, "the dead-letter topic can't be made; records wait until it is there");
        }
    }

    async fn try_create(&self) -> Result<(), String> {
        let admin = self.kafka.admin().map_err(|error| error.to_string())?;
        let admin: AdminClient<_> = admin.create_with_context(Reports::of(CLIENT)).map_err(|error| sentence(&error))?;
        let admin = Detached::of(admin);
        // As many partitions and replicas as the brokers give by default.
        let topic = NewTopic::new(&self.topic, -1, TopicReplication::Fixed(-1))
            .set("cleanup.policy", "delete")
            .set("max.message.bytes", LARGEST_LETTER);
        let options = AdminOptions::new().request_timeout(Some(self.kafka.deadline));
        match admin.create_topics([&topic], &options).await.map_err(|error| sentence(&error))?.pop() {
            Some(Err((_, code))) if code != Code::TopicAlreadyExists => Err(of_code(code)),
            _ => Ok(()),
        }
    }

    /// Ends when the brokers have it. A record too large for the topic goes without its value.
    ///
    /// # Errors
    /// It may not be there: try again.
    pub(super) async fn put(&self, record: &Record, rejection: &Rejection) -> Result<(), KafkaError> {
        let result = self.send(record, record.value.as_deref(), rejection).await;
        match result.as_ref().map_err(KafkaError::rdkafka_error_code) {
            Err(Some(Code::MessageSizeTooLarge)) => self.send(record, None, rejection).await,
            Err(Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition)) => {
                self.create().await;
                result
            }
            _ => result,
        }
    }

    async fn send(&self, record: &Record, value: Option<&[u8]>, rejection: &Rejection) -> Result<(), KafkaError> {
        let headers = headers(&self.from, record, value, rejection);
        let mut letter = FutureRecord::<[u8], [u8]>::to(&self.topic).headers(headers);
        letter.key = record.key.as_deref();
        letter.payload = value;
        self.producer.send(letter, Timeout::Never).await.map(|_| ()).map_err(|(error, _)| error)
    }
}

/// The names of ours; a replayed letter has them from its last time.
const OURS: [&str; 7] = [
    "sluice-reason",
    "sluice-detail",
    "sluice-topic",
    "sluice-partition",
    "sluice-offset",
    "sluice-timestamp",
    "sluice-left-out-bytes",
];

/// The record's own, and what became of it: codes and places, no values.
fn headers(from: &str, record: &Record, value: Option<&[u8]>, rejection: &Rejection) -> OwnedHeaders {
    let [reason, detail, topic, partition, offset, timestamp, left_out] = OURS;
    let is_whole = value.is_some() || record.value.is_none();
    let ours = [
        (reason, Some(rejection.reason.to_owned())),
        (detail, Some(rejection.detail.clone())),
        (topic, Some(from.to_owned())),
        (partition, Some(record.partition.to_string())),
        (offset, Some(record.offset.to_string())),
        (timestamp, record.timestamp.map(|at| at.to_string())),
        (left_out, (!is_whole).then(|| record.value().len().to_string())),
    ];
    let own = record.headers.iter().filter(|(name, _)| !OURS.contains(&name.as_str()));
    let headers =
        own.fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: value.as_deref() }));
    let ours = ours.iter().filter_map(|(key, value)| Some((*key, value.as_ref()?)));
    ours.fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

pub(super) fn settings(error: &KafkaError) -> OpenError {
    OpenError::Settings { property: sentence(error) }
}
