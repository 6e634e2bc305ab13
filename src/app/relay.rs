//! The relay: of all processes with this role one copies the store to the topic.

use std::{sync::Arc, time::Duration};

use sluice_adapters::{
    kafka::{self, KafkaOptions, Relay, RelayError},
    postgres::PostgresStore,
};
use sluice_subscriptions::log::EventLog;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

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
        let (over, begun) = (token.child_token(), TaskTracker::new());
        let work = || async {
            let Err(end) = relay_until(&relay, &store, token.clone()).await else { return };
            // Work is dropped where the shutdown comes meanwhile. A new epoch is begun all the same: a topic that still held
            // events of the old one would be nobody's.
            let given_up = begun.spawn(give_up(end, store.clone(), kafka.clone()));
            // It has no panic of its own to tell.
            let _ = given_up.await;
            over.cancel();
        };
        lease.hold(over.clone(), work).await;
        begun.close();
        begun.wait().await;
    });
    Ok(())
}

/// Why this process can't relay any more.
#[derive(Debug, thiserror::Error)]
enum End {
    /// The lease may come from a process that began it and ended: the topic is not for events of this one's epoch any more.
    #[error("a new epoch of the log has begun: this process must start again")]
    OtherEpoch,
    #[error(transparent)]
    Relay(#[from] RelayError),
}

/// Relays until shutdown, or until the store is away, which ends with the lease.
async fn relay_until(relay: &Relay, store: &PostgresStore, shutdown: CancellationToken) -> Result<(), End> {
    match store.stored_epoch().await {
        Ok(epoch) if epoch == EventLog::epoch(store) => Ok(relay.run(shutdown).await?),
        Ok(_) => Err(End::OtherEpoch),
        Err(_) => Ok(()),
    }
}

async fn give_up(end: End, store: Arc<PostgresStore>, kafka: KafkaOptions) {
    tracing::error!(error = %end, "events can't be relayed");
    if matches!(end, End::Relay(RelayError::MadeAnew { .. })) {
        begin_epoch(&store, &kafka).await;
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
