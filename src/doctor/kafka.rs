//! Kafka: the topic, its settings, and the topics of others.

use sluice_adapters::kafka::{KafkaOptions, TopicOptions, inspect_topic, topic_exists};

use super::{Finding, Report, postgres::Log};
use crate::{app, config::Config};

const PART: &str = "Kafka";
const FOREIGN: &str = "Foreign topic";

/// The topic that events are relayed to; `log` is the store's, where it could be asked.
pub(super) async fn examine(config: &Config, log: Option<Log>, report: &mut Report) {
    let options = match app::kafka_options(config) {
        Ok(options) => options,
        Err(error) => return report.add(PART, Finding::bad(error.to_string())),
    };
    let Some(Log { partitions, is_relayed }) = log else {
        return report.add(PART, Finding::fair("the topic is looked at once the store answers"));
    };
    let topic = TopicOptions { partitions, replication: config.kafka.replication, retention: config.log_retention.0 };
    let name = &config.kafka.topic;
    match inspect_topic(&options, &topic).await {
        Ok(Some(state)) => {
            report.add(PART, Finding::well(format!("the topic {name} has {partitions} partitions, as the store")));
            state.differences.into_iter().for_each(|difference| report.add(PART, Finding::fair(difference)));
        }
        Ok(None) if is_relayed => report.add(PART, Finding::bad(gone(name))),
        Ok(None) => {
            let text = format!("the topic {name} will be made at the first start, with {partitions} partitions");
            report.add(PART, Finding::well(text));
        }
        Err(error) => report.add(PART, Finding::bad(error.to_string())),
    }
}

fn gone(name: &str) -> String {
    format!(
        "the topic {name} is not there, and events were copied to it: correct `kafka.topic` or `kafka.brokers`; if it was deleted, \
         start Sluice with the role `relay`, which makes it anew, and clients read the current state again"
    )
}

/// The topics of other services.
pub(super) async fn examine_foreign(config: &Config, report: &mut Report) {
    if config.foreign_topics.is_empty() {
        return;
    }
    let options = match app::kafka_options(config) {
        Ok(options) => options,
        Err(error) => return report.add(FOREIGN, Finding::bad(error.to_string())),
    };
    for topic in &config.foreign_topics {
        report.add(FOREIGN, foreign(KafkaOptions { topic: topic.topic.clone(), ..options.clone() }).await);
    }
}

async fn foreign(options: KafkaOptions) -> Finding {
    match topic_exists(&options).await {
        Ok(true) => Finding::well(format!("{} is there", options.topic)),
        Ok(false) => Finding::fair(format!("{} is not there yet: it is read once it is made", options.topic)),
        Err(error) => Finding::bad(error.to_string()),
    }
}
