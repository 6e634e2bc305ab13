//! How far durable workers are.

use async_trait::async_trait;
use sluice_schema::position::{Epoch, ReadVector};
use sluice_subscriptions::log::{Checkpoints, LogError};
use sqlx::SqliteConnection;

use super::{SqliteStore, append::Job};

#[async_trait]
impl Checkpoints for SqliteStore {
    async fn load(&self, worker: &str, epoch: Epoch) -> Result<Option<ReadVector>, LogError> {
        let row: Option<(String,)> = sqlx::query_as("SELECT vector FROM checkpoints WHERE worker = ?1 AND epoch = ?2")
            .bind(worker)
            .bind(epoch.0.to_be_bytes().as_slice())
            .fetch_optional(&self.readers)
            .await
            .map_err(|error| LogError::Unavailable(error.to_string()))?;
        let Some((vector,)) = row else { return Ok(None) };
        match serde_json::from_str(&vector) {
            Ok(seqs) => Ok(Some(ReadVector(seqs))),
            Err(_) => Err(LogError::Unavailable(format!("the checkpoint of {worker} is damaged"))),
        }
    }

    async fn save(&self, worker: &str, epoch: Epoch, vector: &ReadVector) -> Result<(), LogError> {
        let job = Job::Checkpoint { worker: worker.to_owned(), epoch, vector: vector.clone() };
        self.writer.submit_one(job).await.map(drop).map_err(|error| LogError::Unavailable(error.to_string()))
    }
}

pub(super) async fn write(
    db: &mut SqliteConnection,
    worker: &str,
    epoch: Epoch,
    vector: &ReadVector,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO checkpoints (worker, epoch, vector) VALUES (?1, ?2, ?3)
         ON CONFLICT (worker) DO UPDATE SET epoch = excluded.epoch, vector = excluded.vector",
    )
    .bind(worker)
    .bind(epoch.0.to_be_bytes().as_slice())
    .bind(serde_json::json!(vector.0).to_string())
    .execute(db)
    .await
    .map(drop)
}
