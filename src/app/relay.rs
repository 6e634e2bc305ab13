//! The relay: of all processes with this role one copies the store to the topic.

use std::time::Duration;

use sluice_adapters::{
    kafka::{self, KafkaOptions, Relay, RelayError},
    postgres::PostgresStore,
};
use sluice_subscriptions::log::EventLog;
use tokio_util::sync::CancellationToken;

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
            if !may_go_on(&relay, &store, &kafka, token.clone()).await {
                over.cancel();
            }
        };
        lease.hold(over.clone(), work).await;
    });
    Ok(())
}

/// Relays until shutdown; `false` where this process can't go on.
async fn may_go_on(relay: &Relay, store: &PostgresStore, kafka: &KafkaOptions, shutdown: CancellationToken) -> bool {
    // The lease may come from a process that began a new epoch and ended: the topic is not for events of this one's any more.
    match store.stored_epoch().await {
        Ok(epoch) if epoch == EventLog::epoch(store) => {}
        Ok(_) => {
            tracing::error!("a new epoch of the log has begun: this process must start again");
            return false;
        }
        // It is tried again with the lease.
        Err(_) => return true,
    }
    match relay.run(shutdown).await {
        Ok(()) => true,
        Err(error) => {
            give_up(error, store, kafka).await;
            false
        }
    }
}

async fn give_up(error: RelayError, store: &PostgresStore, kafka: &KafkaOptions) {
    tracing::error!(%error, "events can't be relayed");
    if matches!(error, RelayError::MadeAnew { .. }) {
        begin_epoch(store, kafka).await;
    } else {
        // Whoever starts it again at once should not make a storm of it.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A topic that was made anew begins a new epoch: no cursor of the old one is honoured any more.
pub(super) async fn begin_epoch(store: &PostgresStore, kafka: &KafkaOptions) {
    match store.renew_epoch().await {
        Ok(true) => tracing::error!("a new epoch of the log begins: clients are told to read the current state again"),
        // What is in the topic by now may be of the new epoch already.
        Ok(false) => return tracing::error!("another process has begun a new epoch of the log"),
        Err(error) => {
            return tracing::error!(%error, "a new epoch can't be begun now; the next start will try again");
        }
    }
    if let Err(error) = kafka::empty_topic(kafka).await {
        tracing::error!(%error, "what was relayed to the new topic before can't be removed: delete the topic, and start again");
    }
}
