//! How an append becomes recorded events, in every store alike.

use std::sync::Arc;

use prost_types::Timestamp as ProtoTimestamp;
use sluice_domain::store::{Append, AppendError, MAX_EVENT_BYTES};
use sluice_schema::{
    event::{NewEvent, RecordedEvent},
    position::{Partition, Seq},
    proto::header::RoutingKey,
};

use crate::placement::Placement;

const MISFORMED: &str = "an append is of one event at least, all of the append's tenant and of one routing key";

/// The append's routing key.
///
/// # Errors
/// The append is none that a store takes, whatever is in it.
pub(crate) fn admit(append: &Append) -> Result<&RoutingKey, AppendError> {
    append.fits(MAX_EVENT_BYTES)?;
    common_routing_key(append).ok_or_else(|| AppendError::Unavailable(MISFORMED.into()))
}

/// `None` for an append that breaks the port's rules.
pub(crate) fn common_routing_key(append: &Append) -> Option<&RoutingKey> {
    let first = append.events.first()?.header.routing_key.as_ref()?;
    let fits = |event: &NewEvent| {
        event.header.routing_key.as_ref() == Some(first) && event.header.tenant == append.tenant.as_str()
    };
    append.events.iter().all(fits).then_some(first)
}

/// The events with their places, behind the partition's `head`, published at `at` (Unix milliseconds).
pub(crate) fn record(
    append: &Append,
    placement: &Placement,
    partition: Partition,
    head: Seq,
    at: i64,
) -> Vec<Arc<RecordedEvent>> {
    let published_at = proto_time(at);
    let places = (head + 1..).zip(append.expected_version + 1..);
    let events = append.events.iter().zip(places);
    events
        .map(|(event, (seq, version))| {
            let mut header = event.header.clone();
            header.published_at = Some(published_at);
            let position = placement.position(partition, seq);
            Arc::new(RecordedEvent { position, version, header, payload: event.payload.clone() })
        })
        .collect()
}

fn proto_time(milliseconds: i64) -> ProtoTimestamp {
    let nanos = milliseconds.rem_euclid(1000) * 1_000_000;
    // Below 10^9.
    ProtoTimestamp { seconds: milliseconds.div_euclid(1000), nanos: nanos as i32 }
}
