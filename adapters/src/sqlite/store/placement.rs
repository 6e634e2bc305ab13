//! What a store's file is: its epoch, and which partition a routing key belongs to.

use std::path::Path;

use aws_lc_rs::{hmac, rand};
use sluice_schema::{
    position::{Epoch, Partition, Position, Seq},
    proto::header::RoutingKey,
};
use sqlx::SqliteConnection;

use crate::sqlite::OpenError;

/// Bits of a place that hold the seq.
const SEQ_BITS: u32 = 48;

/// The most partitions that a place has room for.
const MAX_PARTITIONS: i64 = 1 << 15;

/// Drawn when the file is made, and never changed: another secret would be another epoch.
pub(super) struct Placement {
    pub(super) epoch: Epoch,
    pub(super) partitions: Partition,
    secret: hmac::Key,
}

impl Placement {
    /// Reads it, or draws it for a new file of `partitions`.
    pub(super) async fn load_or_draw(
        db: &mut SqliteConnection,
        path: &Path,
        partitions: Partition,
    ) -> Result<Self, OpenError> {
        let database_error = |source| OpenError::Database { path: path.to_owned(), source };
        let damaged = |what: &str| OpenError::Damaged { path: path.to_owned(), what: what.to_owned() };
        let epoch: [u8; 8] = draw().ok_or_else(|| damaged("the system gives no random numbers"))?;
        let secret: [u8; 32] = draw().ok_or_else(|| damaged("the system gives no random numbers"))?;
        sqlx::query("INSERT OR IGNORE INTO log (one, epoch, secret, partitions) VALUES (1, ?1, ?2, ?3)")
            .bind(epoch.as_slice())
            .bind(secret.as_slice())
            .bind(i64::from(partitions))
            .execute(&mut *db)
            .await
            .map_err(database_error)?;
        let (epoch, secret, partitions): (Vec<u8>, Vec<u8>, i64) =
            sqlx::query_as("SELECT epoch, secret, partitions FROM log").fetch_one(db).await.map_err(database_error)?;
        let epoch = epoch.try_into().map_err(|_| damaged("its epoch is not 8 bytes"))?;
        let partitions = Some(partitions).filter(|count| (1..=MAX_PARTITIONS).contains(count));
        let partitions = partitions.and_then(|count| count.try_into().ok());
        Ok(Self {
            epoch: Epoch(u64::from_be_bytes(epoch)),
            partitions: partitions.ok_or_else(|| damaged("its number of partitions is impossible"))?,
            secret: hmac::Key::new(hmac::HMAC_SHA256, &secret),
        })
    }

    /// A keyed hash, so that nobody outside can choose ids that crowd one partition. Each part carries its length.
    pub(super) fn partition(&self, tenant: &str, key: &RoutingKey) -> Partition {
        let mut mac = hmac::Context::with_key(&self.secret);
        for part in [tenant.as_bytes(), &key.kind.to_be_bytes(), key.id.as_bytes()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let tag = mac.sign();
        let head = tag.as_ref().first_chunk().copied().unwrap_or_default();
        // The remainder is below the number of partitions.
        (u64::from_be_bytes(head) % u64::from(self.partitions)) as Partition
    }

    pub(super) fn position(&self, partition: Partition, seq: Seq) -> Position {
        Position { epoch: self.epoch, partition, seq }
    }

    pub(super) fn position_at(&self, place: i64) -> Position {
        let place = place.cast_unsigned();
        self.position((place >> SEQ_BITS) as Partition, place & ((1 << SEQ_BITS) - 1))
    }
}

/// The key of a row: the partition in the upper bits, the seq in the lower ones.
pub(super) fn place(partition: Partition, seq: Seq) -> i64 {
    ((u64::from(partition) << SEQ_BITS) | seq.min((1 << SEQ_BITS) - 1)).cast_signed()
}

fn draw<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).ok()?;
    Some(bytes)
}
