//! Kafka: how it is reached, and the topic that gateways read.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc, time::Duration};

use sluice_adapters::kafka::{KafkaLog, KafkaOptions, Relay, TopicOptions, ensure_topic};
use sluice_subscriptions::log::{Checkpoints, EventLog};

use super::StartError;
use crate::config::{Config, Role};

/// The topic, made where it is absent; and the log on it, where this process serves clients.
pub(super) async fn open(
    config: &Config,
    source: &Arc<dyn EventLog>,
    checkpoints: &dyn Checkpoints,
) -> Result<Option<Arc<KafkaLog>>, StartError> {
    let kafka = kafka_options(config)?;
    let topic = TopicOptions {
        partitions: source.partitions(),
        replication: config.kafka.replication,
        retention: config.log_retention.0,
    };
    let state = ensure_topic(&kafka, &topic).await?;
    if state.created {
        tracing::info!(topic = kafka.topic, "the topic was made");
    }
    state.differences.iter().for_each(|difference| tracing::warn!("{difference}"));
    if !config.server.has(Role::Gateway) {
        return Ok(None);
    }
    let relayed = checkpoints.load(Relay::CHECKPOINT, source.epoch()).await.map_err(StartError::Checkpoint)?;
    let relayed = relayed.unwrap_or_else(|| sluice_schema::position::ReadVector::start(source.partitions()));
    Ok(Some(Arc::new(KafkaLog::open(&kafka, source.clone(), relayed).await?)))
}

/// Why the settings of librdkafka can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PropertiesError {
    #[error("the Kafka properties {path} can't be read: {source}", path = .path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("line {line} of the Kafka properties {path} is no `name=value`", path = .path.display())]
    Line { path: PathBuf, line: usize },
}

pub(crate) fn kafka_options(config: &Config) -> Result<KafkaOptions, PropertiesError> {
    let kafka = &config.kafka;
    Ok(KafkaOptions {
        brokers: kafka.brokers.clone(),
        topic: kafka.topic.clone(),
        properties: kafka.properties_file.as_ref().map_or_else(|| Ok(BTreeMap::new()), properties)?,
        client_id: "sluice".into(),
        deadline: Duration::from_millis(kafka.deadline_ms),
    })
}

fn properties(path: &PathBuf) -> Result<BTreeMap<String, String>, PropertiesError> {
    let text = fs::read_to_string(path).map_err(|source| PropertiesError::Io { path: path.clone(), source })?;
    let lines = (1..).zip(text.lines()).map(|(number, line)| (number, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            let (name, value) =
                line.split_once('=').ok_or_else(|| PropertiesError::Line { path: path.clone(), line: number })?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, String>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kafka.properties");
        fs::write(&path, text).unwrap();
        properties(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_line_is_a_setting_a_comment_or_nothing() {
        let read = read("# the cluster's\n\nsecurity.protocol = SASL_SSL\nsasl.password=a=b\n").unwrap();
        let expected = [("sasl.password", "a=b"), ("security.protocol", "SASL_SSL")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn a_line_that_is_none_is_told_by_number_and_not_by_what_is_in_it() {
        let error = read("security.protocol=SSL\nhunter2\n").unwrap_err();
        assert!(error.starts_with("line 2 of ") && !error.contains("hunter2"), "{error}");
    }
}
