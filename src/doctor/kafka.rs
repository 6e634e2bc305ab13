//! Kafka: the topic and its settings.

use sluice_adapters::kafka::inspect_topic;

use super::{Finding, Report};
use crate::{app, config::Config};

const PART: &str = "Kafka";

pub(super) async fn examine(config: &Config, report: &mut Report) {
    let options = match app::kafka_options(config) {
        Ok(options) => options,
        Err(error) => return report.add(PART, Finding::bad(error.to_string())),
    };
    let topic = &config.kafka.topic;
    match inspect_topic(&options).await {
        Ok(Some(partitions)) => {
            report.add(PART, Finding::well(format!("the topic {topic} has {partitions} partitions")))
        }
        Ok(None) => report.add(PART, Finding::well(format!("the topic {topic} will be made at the first start"))),
        Err(error) => report.add(PART, Finding::bad(error.to_string())),
    }
}
