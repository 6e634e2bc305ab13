//! What a failed call means to the port.

use prost_types::Any;
use sluice_subscriptions::relationships::RelationshipsError;
use tonic::{Code, Status};

/// Of a call that failed. SpiceDB's text quotes ids, so ours is made of the code alone.
pub(super) fn call(status: &Status) -> RelationshipsError {
    match status.code() {
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => invalid(status.code()),
        code => RelationshipsError::Unavailable(why(code).to_owned()),
    }
}

/// Of one check among many: `None` where the answer is no.
///
/// A check that goes round in a circle or too deep gives no yes ever, so it is a no, and disturbs nobody else. A passing
/// fault is none: a no would let a stream go past an event that it owes.
pub(super) fn item(code: Code, details: &[Any]) -> Option<RelationshipsError> {
    match code {
        _ if too_deep(details) => None,
        Code::InvalidArgument | Code::FailedPrecondition => Some(invalid(code)),
        code => Some(RelationshipsError::Unavailable(why(code).to_owned())),
    }
}

pub(super) fn unavailable(why: &str) -> RelationshipsError {
    RelationshipsError::Unavailable(why.to_owned())
}

fn invalid(code: Code) -> RelationshipsError {
    RelationshipsError::Invalid(format!(
        "SpiceDB refuses this ({code:?}): its authorization schema is another one, its limits are lower, or the revision \
         is not of its datastore; restart Sluice, which compares the schemas"
    ))
}

fn why(code: Code) -> &'static str {
    match code {
        Code::DeadlineExceeded => "no answer in time from SpiceDB",
        Code::Unauthenticated | Code::PermissionDenied => "SpiceDB refuses the preshared key; set the server's",
        Code::ResourceExhausted => "SpiceDB is short of memory or of connections to its datastore",
        Code::Unavailable | Code::Cancelled => "SpiceDB can't be reached",
        _ => "SpiceDB or its datastore is at fault; look into SpiceDB's log",
    }
}

/// google.rpc.ErrorInfo, as far as it is read here.
#[derive(Clone, PartialEq, prost::Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
}

fn too_deep(details: &[Any]) -> bool {
    details
        .iter()
        .filter(|any| any.type_url.ends_with("/google.rpc.ErrorInfo"))
        .filter_map(|any| <ErrorInfo as prost::Message>::decode(&*any.value).ok())
        .any(|info| info.reason == "ERROR_REASON_MAXIMUM_DEPTH_EXCEEDED")
}
