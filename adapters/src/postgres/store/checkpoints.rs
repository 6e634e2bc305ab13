//! How far durable workers are.

use async_trait::async_trait;
use sluice_schema::position::{Epoch, ReadVector};
use sluice_subscriptions::log::{Checkpoints, LogError};

use super::{PostgresStore, log::unavailable};
use crate::failpoint;

#[async_trait]
impl Checkpoints for PostgresStore {
    async fn load(&self, worker: &str, epoch: Epoch) -> Result<Option<ReadVector>, LogError> {
        let query = sqlx::query_scalar("SELECT vector FROM sluice.checkpoints WHERE worker = $1 AND epoch = $2")
            .bind(worker)
            .bind(epoch.0.to_be_bytes());
        let vector: Option<Vec<i64>> =
            self.db.within(query.fetch_optional(self.db.pool())).await.map_err(unavailable)?;
        Ok(vector.map(|seqs| ReadVector(seqs.into_iter().map(i64::cast_unsigned).collect())))
    }

    async fn save(&self, worker: &str, epoch: Epoch, vector: &ReadVector) -> Result<(), LogError> {
        failpoint::pass("checkpoint.before-save").await;
        let query = sqlx::query(
            "INSERT INTO sluice.checkpoints (worker, epoch, vector) VALUES ($1, $2, $3)
             ON CONFLICT (worker) DO UPDATE SET epoch = excluded.epoch, vector = excluded.vector",
        )
        .bind(worker)
        .bind(epoch.0.to_be_bytes())
        .bind(vector.0.iter().map(|seq| seq.cast_signed()).collect::<Vec<_>>());
        self.db.within(query.execute(self.db.pool())).await.map(drop).map_err(unavailable)
    }
}
