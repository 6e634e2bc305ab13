//! How long the log can be read back. Events stay in the file, for they are the aggregates' truth; past the retention
//! they are only not read as a log any more.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use jiff::Timestamp;
use sluice_schema::position::{Partition, ReadVector, Seq};
use sqlx::SqlitePool;

use super::{Shared, placement::place};
use crate::retention::{last_before, oldest};

/// How often the log is looked at: retention is hours and days.
const EVERY: Duration = Duration::from_secs(60);

/// Moves the readable beginning of each partition up to the first event that is younger than `retention` at `now`.
pub(super) async fn apply(
    shared: &Shared,
    readers: &SqlitePool,
    retention: Duration,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let oldest = oldest(retention, now);
    let heads = shared.heads.borrow().clone();
    let mut earliest = shared.earliest.borrow().clone();
    for (partition, head) in heads.partitions() {
        let passed =
            last_before(earliest.get(partition), head, oldest, |seq| published_at(readers, partition, seq)).await?;
        earliest.advance(partition, passed);
    }
    shared.earliest.send_if_modified(|current| {
        let moved = !current.covers(&earliest);
        current.join(&earliest);
        moved
    });
    Ok(())
}

async fn published_at(readers: &SqlitePool, partition: Partition, seq: Seq) -> Result<i64, sqlx::Error> {
    let place = place(partition, seq);
    sqlx::query_scalar("SELECT published_at FROM events WHERE place = ?1").bind(place).fetch_one(readers).await
}

/// Looks again and again until the store is dropped.
pub(super) async fn run(shared: Weak<Shared>, readers: SqlitePool, retention: Duration) {
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(shared) = Weak::upgrade(&shared) else { return };
        if let Err(error) = apply_now(&shared, &readers, retention).await {
            tracing::warn!(%error, "retention can't be applied; older events stay readable until it can");
        }
    }
}

async fn apply_now(shared: &Arc<Shared>, readers: &SqlitePool, retention: Duration) -> Result<(), sqlx::Error> {
    apply(shared, readers, retention, Timestamp::now()).await
}

/// Where the log begins before retention is first looked at.
pub(super) fn beginning(heads: &ReadVector) -> ReadVector {
    ReadVector(vec![0; heads.0.len()])
}
