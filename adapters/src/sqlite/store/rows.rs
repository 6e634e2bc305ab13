//! Events as rows.

use std::sync::Arc;

use prost::Message;
use sluice_schema::{event::RecordedEvent, proto::header::Header, sealed::Sealed};

use super::placement::position_at;
use crate::placement::Placement;

/// `place, version, header, payload`.
pub(super) type EventRow = (i64, i64, Vec<u8>, Vec<u8>);

/// The row can't be what was written.
#[derive(Debug, thiserror::Error)]
#[error("event {seq} of partition {partition} is damaged: restore the file from a backup")]
pub(super) struct Damaged {
    partition: u16,
    seq: u64,
}

pub(super) fn read_event(
    placement: &Placement,
    (place, version, header, payload): EventRow,
) -> Result<Arc<RecordedEvent>, Damaged> {
    let position = position_at(placement, place);
    let damaged = Damaged { partition: position.partition, seq: position.seq };
    let (Ok(header), Ok(version)) = (Header::decode(header.as_slice()), u64::try_from(version)) else {
        return Err(damaged);
    };
    Ok(Arc::new(RecordedEvent { position, version, header, payload: Sealed(payload.into()) }))
}
