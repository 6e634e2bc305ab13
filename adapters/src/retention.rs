//! How far back a partition can be read, in every store alike.

use std::{future::Future, time::Duration};

use jiff::{SignedDuration, Timestamp};
use sluice_schema::position::{Partition, ReadVector, Seq};
use sluice_subscriptions::log::LogError;

/// Up to which seq a partition can be read behind `after`; `None` where there is nothing yet.
///
/// # Errors
/// Retention has passed `after`.
pub(crate) fn readable(
    earliest: &ReadVector,
    heads: &ReadVector,
    partition: Partition,
    after: Seq,
) -> Result<Option<Seq>, LogError> {
    let (earliest, head) = (earliest.get(partition), heads.get(partition));
    if after < earliest {
        return Err(LogError::Gap { partition, earliest });
    }
    Ok(Some(head).filter(|head| after < *head))
}

/// Unix milliseconds: what was published before is past the retention.
pub(crate) fn oldest(retention: Duration, now: Timestamp) -> i64 {
    let retention = SignedDuration::try_from(retention).unwrap_or(SignedDuration::MAX);
    now.saturating_sub(retention).unwrap_or(Timestamp::MIN).as_millisecond()
}

/// The last seq in `(low, high]` that was published before `oldest`, or `low`: a binary search, for times of publication
/// never go back within a partition.
pub(crate) async fn last_before<F, E>(
    mut low: Seq,
    mut high: Seq,
    oldest: i64,
    published_at: impl Fn(Seq) -> F,
) -> Result<Seq, E>
where
    F: Future<Output = Result<i64, E>>,
{
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if published_at(middle).await? < oldest { low = middle } else { high = middle - 1 }
    }
    Ok(low)
}
