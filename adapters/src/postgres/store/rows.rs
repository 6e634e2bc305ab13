//! Events as rows.

use std::sync::Arc;

use prost::Message;
use sluice_schema::{
    event::RecordedEvent,
    position::{Partition, Seq},
    proto::header::Header,
    sealed::Sealed,
};

use crate::placement::Placement;

/// `partition, seq, version, header, payload`.
pub(super) type EventRow = (i32, i64, i64, Vec<u8>, Vec<u8>);

/// The row can't be what was written.
#[derive(Debug, thiserror::Error)]
#[error("event {seq} of partition {partition} is damaged: restore the database from a backup")]
pub(super) struct Damaged {
    partition: Partition,
    seq: Seq,
}

pub(super) fn read_event(
    placement: &Placement,
    (partition, seq, version, header, payload): EventRow,
) -> Result<Arc<RecordedEvent>, Damaged> {
    let position = placement.position(partition as Partition, seq.unsigned_abs());
    let damaged = Damaged { partition: position.partition, seq: position.seq };
    let (Ok(header), Ok(version)) = (Header::decode(header.as_slice()), u64::try_from(version)) else {
        return Err(damaged);
    };
    Ok(Arc::new(RecordedEvent { position, version, header, payload: Sealed(payload.into()) }))
}
