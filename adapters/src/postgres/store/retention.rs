//! How long the log can be read back. Events stay in their table, for they are the aggregates' truth; past the retention they
//! are only not read as a log any more.

use std::time::Duration;

use jiff::Timestamp;
use sluice_schema::position::{Partition, ReadVector, Seq};
use tokio::sync::watch;

use crate::{
    postgres::{Postgres, error::Failed},
    retention::{last_before, oldest},
};

/// How often the log is looked at: retention is hours and days.
const EVERY: Duration = Duration::from_secs(60);

/// Moves the readable beginning of each partition up to the first event that is younger than `retention` at `now`.
pub(super) async fn apply(
    db: &Postgres,
    heads: &watch::Sender<ReadVector>,
    earliest: &watch::Sender<ReadVector>,
    retention: Duration,
    now: Timestamp,
) -> Result<(), Failed> {
    let oldest = oldest(retention, now);
    let heads = heads.borrow().clone();
    let mut passed = earliest.borrow().clone();
    for (partition, head) in heads.partitions() {
        let low = passed.get(partition);
        let last = last_before(low, head, oldest, |seq| published_at(db, partition, seq)).await?;
        passed.advance(partition, last);
    }
    earliest.send_if_modified(|current| {
        let moved = !current.covers(&passed);
        current.join(&passed);
        moved
    });
    Ok(())
}

async fn published_at(db: &Postgres, partition: Partition, seq: Seq) -> Result<i64, Failed> {
    let query = sqlx::query_scalar("SELECT published_at FROM sluice.events WHERE partition = $1 AND seq = $2")
        .bind(i32::from(partition))
        .bind(seq.cast_signed());
    db.within(query.fetch_one(db.pool())).await
}

/// Looks again and again until the store is dropped.
pub(super) async fn run(
    db: Postgres,
    heads: watch::Sender<ReadVector>,
    earliest: watch::Sender<ReadVector>,
    retention: Duration,
) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(why) = apply(&db, &heads, &earliest, retention, Timestamp::now()).await {
            tracing::warn!(%why, "retention can't be applied; older events stay readable until it can");
        }
    }
}
