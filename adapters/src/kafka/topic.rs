//! The topic: made where it is absent, compared where it is there.

use std::{cmp, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication},
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    types::RDKafkaErrorCode as Code,
};
use sluice_domain::store::MAX_EVENT_BYTES;
use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{
    client::{Detached, KafkaOptions, Reports},
    error::{OpenError, of_code, sentence},
};
use crate::failpoint;

/// The largest record: the relay sends none that is larger, and the topic takes each that it sends.
pub(super) const MAX_RECORD_BYTES: usize = 8 << 20;

/// What a record has besides header and payload takes some hundred bytes.
const _: () = assert!(MAX_EVENT_BYTES + (4 << 10) <= MAX_RECORD_BYTES, "each event of a store fits into a record");

/// Before it is asked again for a topic that was not there.
const PAUSE: Duration = Duration::from_millis(50);

/// How a topic is made.
#[derive(Debug, Clone)]
pub struct TopicOptions {
    /// As many as the store has.
    pub partitions: u16,
    /// Copies of each partition; 3 where there are that many brokers, so that one may be away.
    pub replication: i16,
    /// How long events can be read back.
    pub retention: Duration,
}

/// What [`ensure_topic`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicState {
    pub created: bool,
    /// Settings that are not as [`TopicOptions`] has them, a sentence each: whoever keeps the cluster may have reasons.
    pub differences: Vec<String>,
}

/// Makes the topic where it is absent, and compares it otherwise.
///
/// # Errors
/// Kafka does not answer within the deadline or refuses, the topic has another number of partitions, or it is compacted.
pub async fn ensure_topic(kafka: &KafkaOptions, topic: &TopicOptions) -> Result<TopicState, OpenError> {
    if let Some(found) = inspect_topic(kafka, topic).await? {
        return Ok(found);
    }
    let admin = admin(kafka)?;
    let created = create(kafka, topic, &admin).await?;
    expect_partitions(kafka, topic.partitions).await?;
    let differences = if created { Vec::new() } else { compare(kafka, topic, &admin).await? };
    Ok(TopicState { created, differences })
}

/// What [`ensure_topic`] would find; `None` where it would make the topic. Changes nothing.
///
/// # Errors
/// As there.
pub async fn inspect_topic(kafka: &KafkaOptions, topic: &TopicOptions) -> Result<Option<TopicState>, OpenError> {
    let Some(found) = count_partitions(kafka).await? else { return Ok(None) };
    compare_partitions(kafka, found, topic.partitions)?;
    let differences = compare(kafka, topic, &*admin(kafka)?).await?;
    Ok(Some(TopicState { created: false, differences }))
}

/// Whether there is such a topic. Changes nothing.
///
/// # Errors
/// Kafka does not answer within the deadline, or refuses.
pub async fn topic_exists(kafka: &KafkaOptions) -> Result<bool, OpenError> {
    Ok(count_partitions(kafka).await?.is_some())
}

/// Removes every record of the topic, for a new epoch to begin in it; offsets go on.
///
/// # Errors
/// Kafka does not answer within the deadline, or the right to delete records is missing.
pub async fn empty_topic(kafka: &KafkaOptions) -> Result<(), OpenError> {
    failpoint::pass("topic.before-empty").await;
    let partitions = count_partitions(kafka).await?.unwrap_or(0);
    let mut all = TopicPartitionList::new();
    for partition in (0..).take(partitions) {
        all.add_partition_offset(&kafka.topic, partition, Offset::End).map_err(|error| kafka.refused(&error))?;
    }
    let emptied = admin(kafka)?.delete_records(&all, &within(kafka)).await.map_err(|error| kafka.refused(&error))?;
    for element in emptied.elements() {
        element.error().map_err(|error| kafka.refused(&error))?;
    }
    Ok(())
}

fn admin(kafka: &KafkaOptions) -> Result<Detached<AdminClient<Reports>>, OpenError> {
    let admin = kafka.admin()?.create_with_context(Reports::of("admin")).map_err(|error| kafka.refused(&error))?;
    Ok(Detached::of(admin))
}

fn compare_partitions(kafka: &KafkaOptions, found: usize, wanted: u16) -> Result<(), OpenError> {
    if found == usize::from(wanted) {
        return Ok(());
    }
    Err(OpenError::Partitions { topic: kafka.topic.clone(), found, wanted })
}

/// Waits for the topic where it is not there yet: a broker hears of a new one a moment after it is made.
pub(super) async fn expect_partitions(kafka: &KafkaOptions, wanted: u16) -> Result<(), OpenError> {
    let found = async {
        loop {
            match count_partitions(kafka).await? {
                Some(found) => return Ok(found),
                None => sleep(PAUSE).await,
            }
        }
    };
    let no_topic = |_| OpenError::NoTopic { topic: kafka.topic.clone() };
    compare_partitions(kafka, timeout(kafka.deadline, found).await.map_err(no_topic)??, wanted)
}

/// How many partitions the topic has; `None` where there is no such topic.
async fn count_partitions(kafka: &KafkaOptions) -> Result<Option<usize>, OpenError> {
    let options = kafka.clone();
    let ask = move || {
        let client: BaseConsumer<Reports> =
            options.admin()?.create_with_context(Reports::of("admin")).map_err(|error| options.refused(&error))?;
        let metadata =
            client.fetch_metadata(Some(&options.topic), options.deadline).map_err(|error| options.refused(&error))?;
        let found = metadata.topics().iter().find(|topic| topic.name() == options.topic);
        match found.map(|topic| (topic.error().map(Code::from), topic.partitions().len())) {
            None | Some((Some(Code::UnknownTopic | Code::UnknownTopicOrPartition), _)) => Ok(None),
            Some((Some(code), _)) => Err(OpenError::Topic { topic: options.topic.clone(), why: of_code(code) }),
            Some((None, count)) => Ok(Some(count)),
        }
    };
    spawn_blocking(ask).await.unwrap_or_else(|_| Err(kafka.refused(&KafkaError::Canceled)))
}

/// `false` where another process was first.
async fn create(kafka: &KafkaOptions, topic: &TopicOptions, admin: &AdminClient<Reports>) -> Result<bool, OpenError> {
    let settings = settings(topic);
    let new = NewTopic::new(&kafka.topic, topic.partitions.into(), TopicReplication::Fixed(topic.replication.into()));
    let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
    let answers = admin.create_topics([&new], &within(kafka)).await.map_err(|error| kafka.refused(&error))?;
    match answers.into_iter().next() {
        Some(Ok(_)) => Ok(true),
        Some(Err((_, Code::TopicAlreadyExists))) => Ok(false),
        Some(Err((_, Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed))) | None => {
            Err(OpenError::NoTopic { topic: kafka.topic.clone() })
        }
        Some(Err((_, code))) => Err(OpenError::Topic { topic: kafka.topic.clone(), why: of_code(code) }),
    }
}

fn settings(topic: &TopicOptions) -> Vec<(&'static str, String)> {
    vec![
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", topic.retention.as_millis().to_string()),
        ("min.insync.replicas", cmp::min(2, topic.replication).to_string()),
        ("message.timestamp.type", "CreateTime".to_owned()),
        ("max.message.bytes", MAX_RECORD_BYTES.to_string()),
        // An old leader that comes back must not take acknowledged events away.
        ("unclean.leader.election.enable", "false".to_owned()),
    ]
}

async fn compare(
    kafka: &KafkaOptions,
    topic: &TopicOptions,
    admin: &AdminClient<Reports>,
) -> Result<Vec<String>, OpenError> {
    let resource = ResourceSpecifier::Topic(&kafka.topic);
    let described = admin.describe_configs([&resource], &within(kafka)).await.map_err(|error| kafka.refused(&error))?;
    let found: ConfigResource = match described.into_iter().next() {
        Some(Ok(found)) => found,
        // The right to see them may not be ours; then they are the cluster's keepers' to check.
        _ => {
            return Ok(vec![format!(
                "the settings of the topic {} can't be seen: grant DESCRIBE_CONFIGS",
                kafka.topic
            )]);
        }
    };
    let mut differences = Vec::new();
    for (name, wanted) in settings(topic) {
        let Some(value) = found.get(name).and_then(|entry| entry.value.clone()).filter(|value| *value != wanted) else {
            continue;
        };
        if name == "cleanup.policy" && value.contains("compact") {
            let topic = kafka.topic.clone();
            return Err(OpenError::TopicSetting { topic, setting: name, found: value, wanted: "delete" });
        }
        differences.push(format!("the topic {} has {name}={value} instead of {wanted}", kafka.topic));
    }
    Ok(differences)
}

fn within(kafka: &KafkaOptions) -> AdminOptions {
    AdminOptions::new().request_timeout(Some(kafka.deadline)).operation_timeout(Some(kafka.deadline))
}

impl KafkaOptions {
    /// What to tell of an error while opening.
    pub(super) fn refused(&self, error: &KafkaError) -> OpenError {
        match error {
            KafkaError::ClientConfig(_, _, property, _) => OpenError::Settings { property: property.clone() },
            error => OpenError::Unreachable { brokers: self.brokers.clone(), why: sentence(error) },
        }
    }
}
