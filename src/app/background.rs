//! What runs behind the gateways: of all processes that share the parts, one does each of these at a time.

use std::{sync::Arc, time::Duration};

use sluice_adapters::kafka::foreign::ForeignReader;
use sluice_domain::eligibility::process::{EligibilityProcess, ProcessConfig};
use sluice_subscriptions::worker::Worker;
use tokio_util::sync::CancellationToken;

use super::{
    parts::{Parts, StartError, kafka_options},
    relay,
    workers::AskPayer,
};
use crate::{
    config::{Config, LogKind, Role},
    shutdown::Tasks,
};

/// Starts what this process's roles ask for.
pub(super) async fn start(parts: &Parts, config: &Config, tasks: &Tasks) -> Result<(), StartError> {
    if config.server.has(Role::Worker) {
        ask_payers(parts, config, tasks);
        read_foreign_topics(parts, config, tasks)?;
    }
    if config.server.has(Role::Relay) && config.parts.log == LogKind::Kafka {
        relay::start(parts, config, tasks).await?;
    }
    watch_topic(parts, tasks);
    Ok(())
}

/// Where the topic can't be true any more, the process ends: what it would deliver may be wrong.
fn watch_topic(parts: &Parts, tasks: &Tasks) {
    let Some(topic) = parts.topic.clone() else { return };
    tasks.spawn("the log", |token| async move {
        tokio::select! {
            why = topic.failed() => tracing::error!(why, "the topic can't be read on: this process must start again"),
            () = token.cancelled() => {}
        }
    });
}

/// All processes with the role share the partitions of each topic, as one consumer group.
fn read_foreign_topics(parts: &Parts, config: &Config, tasks: &Tasks) -> Result<(), StartError> {
    if config.foreign_topics.is_empty() {
        return Ok(());
    }
    let (kafka, publisher) = (kafka_options(config)?, Arc::new(parts.publisher()));
    for topic in &config.foreign_topics {
        let reader = ForeignReader { kafka: kafka.clone(), topic: topic.clone(), publisher: publisher.clone() };
        tasks.spawn("a foreign topic", |token| async move {
            if let Err(error) = reader.run(token).await {
                tracing::error!(%error, "a foreign topic can't be read");
            }
        });
    }
    Ok(())
}

/// The worker reads the store, not the topic: checks are asked and answered while Kafka is away.
fn ask_payers(parts: &Parts, config: &Config, tasks: &Tasks) {
    let deadline = Duration::from_secs(config.eligibility.deadline_seconds);
    let process = EligibilityProcess::new(parts.eligibility(), ProcessConfig { deadline, ..ProcessConfig::default() });
    let (log, checkpoints) = (parts.outbox(), parts.checkpoints());
    let handler = Arc::new(AskPayer(process));
    let max_in_flight = config.eligibility.max_in_flight;
    let worker = move || Worker {
        name: "eligibility",
        log: log.clone(),
        checkpoints: checkpoints.clone(),
        handler: handler.clone(),
        max_in_flight,
    };
    let lease = parts.lease("eligibility");
    tasks.spawn("eligibility", |token| async move {
        let work = || run(worker(), token.clone());
        match lease {
            Some(lease) => lease.hold(token.clone(), work).await,
            None => work().await,
        }
    });
}

async fn run(worker: Worker, token: CancellationToken) {
    if let Err(error) = worker.run(token).await {
        tracing::error!(%error, "the eligibility worker stops: requested checks may never be answered");
    }
}
