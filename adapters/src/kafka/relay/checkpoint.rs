//! How far the relay is, kept in the store.

use std::{convert::Infallible, time::Duration};

use sluice_schema::position::ReadVector;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{FIRST_PAUSE, LONGEST_PAUSE, Relay};
use crate::failpoint;

/// The least time between two checkpoints: each is a commit that delays others.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(500);

impl Relay {
    /// Asks until there is an answer; without a checkpoint everything is relayed.
    pub(super) async fn load_checkpoint(&self) -> ReadVector {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.checkpoints.load(Self::CHECKPOINT, self.source.epoch()).await {
                Ok(loaded) => return loaded.unwrap_or_else(|| ReadVector::start(self.source.partitions())),
                Err(error) => tracing::warn!(%error, "the relay's checkpoint can't be read"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Saves what is confirmed, beside the relaying.
    pub(super) async fn keep_checkpoint(&self, mut confirmed: watch::Receiver<ReadVector>) -> Infallible {
        loop {
            // The sender outlives this.
            let _ = confirmed.changed().await;
            let vector = confirmed.borrow_and_update().clone();
            self.save_checkpoint(&vector).await;
            sleep(CHECKPOINT_EVERY).await;
        }
    }

    /// A store that is away must not hold up the shutdown: a checkpoint that is too low does no harm.
    pub(super) async fn save_last_checkpoint(&self, confirmed: &watch::Sender<ReadVector>) {
        let vector = confirmed.borrow().clone();
        if timeout(self.kafka.deadline, self.save_checkpoint(&vector)).await.is_err() {
            tracing::warn!("the relay's last checkpoint could not be written in time");
        }
    }

    async fn save_checkpoint(&self, vector: &ReadVector) {
        failpoint::pass("relay.before-checkpoint").await;
        if let Err(error) = self.checkpoints.save(Self::CHECKPOINT, self.source.epoch(), vector).await {
            // Not saved means relayed again after a crash, no more.
            tracing::warn!(%error, "the relay's checkpoint can't be written");
        }
    }
}
