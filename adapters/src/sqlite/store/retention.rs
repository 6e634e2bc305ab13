//! How long the log can be read back. Events stay in the file, for they are the aggregates' truth; past the retention
//! they are only not read as a log any more.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use sluice_schema::position::{Partition, ReadVector, Seq};
use sqlx::SqlitePool;

use super::{Shared, placement::place};

/// How often the log is looked at: retention is hours and days.
const EVERY: Duration = Duration::from_secs(60);

/// Moves the readable beginning of each partition up to the first event that is younger than `retention` at `now`.
pub(super) async fn apply(
    shared: &Shared,
    readers: &SqlitePool,
    retention: Duration,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let retention = SignedDuration::try_from(retention).unwrap_or(SignedDuration::MAX);
    let oldest = now.saturating_sub(retention).unwrap_or(Timestamp::MIN).as_millisecond();
    let heads = shared.heads.borrow().clone();
    let mut earliest = shared.earliest.borrow().clone();
    for (partition, head) in heads.partitions() {
        let passed = last_before(readers, partition, earliest.get(partition), head, oldest).await?;
        earliest.advance(partition, passed);
    }
    shared.earliest.send_if_modified(|current| {
        let moved = !current.covers(&earliest);
        earliest.partitions().for_each(|(partition, seq)| current.advance(partition, seq));
        moved
    });
    Ok(())
}

/// The last seq in `(low, head]` that was published before `oldest`, or `low`: a binary search, for times of publication
/// never go back within the file.
async fn last_before(
    readers: &SqlitePool,
    partition: Partition,
    mut low: Seq,
    mut high: Seq,
    oldest: i64,
) -> Result<Seq, sqlx::Error> {
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let (published_at,): (i64,) = sqlx::query_as("SELECT published_at FROM events WHERE place = ?1")
            .bind(place(partition, middle))
            .fetch_one(readers)
            .await?;
        if published_at < oldest { low = middle } else { high = middle - 1 }
    }
    Ok(low)
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
