//! Where records go that can't be events.

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    types::RDKafkaErrorCode,
    util::Timeout,
};

use super::{event::Rejection, record::Record};
use crate::kafka::{KafkaOptions, OpenError, client::Reports, error::sentence};

pub(super) struct DeadLetters {
    producer: FutureProducer<Reports>,
    from: String,
    topic: String,
}

impl DeadLetters {
    pub(super) fn new(kafka: &KafkaOptions, from: &str, topic: String) -> Result<Self, OpenError> {
        let mut config = kafka.producer()?;
        config.set("message.max.bytes", "100000000");
        let producer = config.create_with_context(Reports::of("dead-letters")).map_err(|error| settings(&error))?;
        Ok(Self { producer, from: from.into(), topic })
    }

    /// Makes the topic where it is absent. That it can't be made is told, not fatal: it may be there.
    pub(super) async fn create(&self, kafka: &KafkaOptions) -> Result<(), OpenError> {
        let config: ClientConfig = kafka.admin()?;
        let admin: AdminClient<_> =
            config.create_with_context(Reports::of("dead-letters")).map_err(|error| settings(&error))?;
        // As many partitions and replicas as the brokers give by default.
        let topic = NewTopic::new(&self.topic, -1, TopicReplication::Fixed(-1));
        let options = AdminOptions::new().request_timeout(Some(kafka.deadline));
        let why = match admin.create_topics([&topic], &options).await {
            Ok(results) => match results.into_iter().next() {
                Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => format!("{code:?}"),
                _ => return Ok(()),
            },
            Err(error) => sentence(&error),
        };
        tracing::warn!(topic = self.topic, why, "the dead-letter topic can't be made; records wait until it is there");
        Ok(())
    }

    /// Ends when the brokers have it. A record too large for the topic goes without its value.
    pub(super) async fn put(&self, record: &Record, rejection: &Rejection) -> Result<(), KafkaError> {
        match self.send(record, record.value.as_deref(), rejection).await {
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                self.send(record, None, rejection).await
            }
            result => result,
        }
    }

    async fn send(&self, record: &Record, value: Option<&[u8]>, rejection: &Rejection) -> Result<(), KafkaError> {
        let mut letter = FutureRecord::<[u8], [u8]>::to(&self.topic).headers(headers(&self.from, record, rejection));
        letter.key = record.key.as_deref();
        letter.payload = value;
        self.producer.send(letter, Timeout::Never).await.map(|_| ()).map_err(|(error, _)| error)
    }
}

/// The record's own, and what became of it: codes and places, no values.
fn headers(from: &str, record: &Record, rejection: &Rejection) -> OwnedHeaders {
    let own = record.headers.iter().filter(|(name, _)| !is_ours(name));
    let headers =
        own.fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: value.as_deref() }));
    let (partition, offset) = (record.partition.to_string(), record.offset.to_string());
    let ours = [
        ("sluice-reason", rejection.reason),
        ("sluice-detail", &rejection.detail),
        ("sluice-topic", from),
        ("sluice-partition", &partition),
        ("sluice-offset", &offset),
    ];
    ours.into_iter().fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

/// A replayed letter has these from its last time.
fn is_ours(name: &str) -> bool {
    matches!(name, "sluice-reason" | "sluice-detail" | "sluice-topic" | "sluice-partition" | "sluice-offset")
}

pub(super) fn settings(error: &KafkaError) -> OpenError {
    OpenError::Settings { property: sentence(error) }
}
