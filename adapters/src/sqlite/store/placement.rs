//! The file's placement, and places as keys of rows.

use std::path::Path;

use sluice_schema::position::{Partition, Position, Seq};
use sqlx::SqliteConnection;

use crate::{
    placement::{Drawn, Placement},
    sqlite::OpenError,
};

/// Bits of a place that hold the seq.
const SEQ_BITS: u32 = 48;

/// Reads it, or draws it for a new file of `partitions`.
pub(super) async fn load_or_draw(
    db: &mut SqliteConnection,
    path: &Path,
    partitions: Partition,
) -> Result<Placement, OpenError> {
    let database_error = |source| OpenError::Database { path: path.to_owned(), source };
    let damaged = |what: &str| OpenError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let drawn = Drawn::draw().ok_or_else(|| damaged("the system gives no random numbers"))?;
    sqlx::query("INSERT OR IGNORE INTO log (one, epoch, secret, partitions) VALUES (1, ?1, ?2, ?3)")
        .bind(drawn.epoch.as_slice())
        .bind(drawn.secret.as_slice())
        .bind(i64::from(partitions))
        .execute(&mut *db)
        .await
        .map_err(database_error)?;
    let (epoch, secret, partitions): (Vec<u8>, Vec<u8>, i64) =
        sqlx::query_as("SELECT epoch, secret, partitions FROM log").fetch_one(db).await.map_err(database_error)?;
    Placement::of_stored(&epoch, &secret, partitions).map_err(damaged)
}

/// The key of a row: the partition in the upper bits, the seq in the lower ones.
pub(super) fn place(partition: Partition, seq: Seq) -> i64 {
    ((u64::from(partition) << SEQ_BITS) | seq.min((1 << SEQ_BITS) - 1)).cast_signed()
}

pub(super) fn position_at(placement: &Placement, place: i64) -> Position {
    let place = place.cast_unsigned();
    placement.position((place >> SEQ_BITS) as Partition, place & ((1 << SEQ_BITS) - 1))
}
