//! The relay: of all processes with this role one copies the store to the topic.

use std::time::Duration;

use sluice_adapters::{
    kafka::{self, KafkaOptions, Relay, RelayError},
    postgres::PostgresStore,
};
use sluice_subscriptions::log::EventLog;

use super::parts::{Parts, StartError, kafka_options};
use crate::{config::Config, shutdown::Tasks};

/// Starts the task. It ends before it is asked to where the topic can't be gone on with: the process then starts again.
pub(super) async fn start(parts: &Parts, config: &Config, tasks: &Tasks) -> Result<(), StartError> {
    let (Some(platform), Some(lease)) = (parts.platform(), parts.lease(Relay::CHECKPOINT)) else { return Ok(()) };
    let kafka = kafka_options(config)?;
    let store = platform.store.clone();
    let relay = Relay {
        source: platform.recent(config.log_retention.0).await?,
        checkpoints: parts.checkpoints(),
        kafka: kafka.clone(),
        key: platform.store.topic_key(),
    };
    tasks.spawn("relay", |token| async move {
        let over = token.child_token();
        let work = || async {
            if let Err(error) = relay.run(token.clone()).await {
                give_up(error, &store, &kafka).await;
                over.cancel();
            }
        };
        lease.hold(over.clone(), work).await;
    });
    Ok(())
}

/// A topic that was made anew begins a new epoch: no cursor of the old one is honoured any more.
async fn give_up(error: RelayError, store: &PostgresStore, kafka: &KafkaOptions) {
    tracing::error!(%error, "events can't be relayed");
    if !matches!(error, RelayError::MadeAnew { .. }) {
        // Whoever starts it again at once should not make a storm of it.
        tokio::time::sleep(Duration::from_secs(1)).await;
        return;
    }
    match store.renew_epoch(store.epoch()).await {
        Ok(_) => tracing::error!("a new epoch of the log begins: clients are told to read the current state again"),
        Err(error) => tracing::error!(%error, "a new epoch can't be begun now; the next start will try again"),
    }
    if let Err(error) = kafka::empty_topic(kafka).await {
        tracing::error!(%error, "what was relayed to the new topic before can't be removed: delete the topic, and start again");
    }
}
