//! What a store of events is: its epoch, and which partition a routing key belongs to.

use aws_lc_rs::{hmac, rand};
use sluice_schema::{
    position::{Epoch, Partition, Position, Seq},
    proto::header::RoutingKey,
};

/// The most partitions that a store can have.
pub(crate) const MAX_PARTITIONS: Partition = 1 << 15;

/// Drawn when a store is made, and never changed: another secret would be another epoch.
pub(crate) struct Placement {
    pub(crate) epoch: Epoch,
    pub(crate) partitions: Partition,
    secret: hmac::Key,
}

/// What a new store draws.
pub(crate) struct Drawn {
    pub(crate) epoch: [u8; 8],
    pub(crate) secret: [u8; 32],
}

impl Drawn {
    /// `None` where the system gives no random numbers.
    pub(crate) fn draw() -> Option<Self> {
        Some(Self { epoch: draw()?, secret: draw()? })
    }
}

impl Placement {
    /// From what is stored; an error says what of it is impossible.
    pub(crate) fn of_stored(epoch: &[u8], secret: &[u8], partitions: i64) -> Result<Self, &'static str> {
        let epoch = epoch.try_into().map_err(|_| "its epoch is not 8 bytes")?;
        let partitions = Partition::try_from(partitions).ok().filter(|count| (1..=MAX_PARTITIONS).contains(count));
        Ok(Self {
            epoch: Epoch(u64::from_be_bytes(epoch)),
            partitions: partitions.ok_or("its number of partitions is impossible")?,
            secret: hmac::Key::new(hmac::HMAC_SHA256, secret),
        })
    }

    /// A keyed hash, so that nobody outside can choose ids that crowd one partition. Each part carries its length.
    pub(crate) fn partition(&self, tenant: &str, key: &RoutingKey) -> Partition {
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

    pub(crate) fn position(&self, partition: Partition, seq: Seq) -> Position {
        Position { epoch: self.epoch, partition, seq }
    }

    /// A secret for another purpose, which tells nothing of this one.
    pub(crate) fn derived_secret(&self, purpose: &str) -> [u8; 32] {
        let tag = hmac::sign(&self.secret, purpose.as_bytes());
        // The tag of HMAC-SHA-256 has 32 bytes.
        tag.as_ref().first_chunk().copied().unwrap_or_default()
    }
}

fn draw<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).ok()?;
    Some(bytes)
}
