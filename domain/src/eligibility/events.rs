//! The events of an eligibility check, and their bytes.

use prost::{DecodeError, Message, Name};
use sluice_schema::proto::eligibility::{
    EligibilityCheckAnswered, EligibilityCheckCancelled, EligibilityCheckFailed, EligibilityCheckRejected,
    EligibilityCheckRequested,
};

/// The entity type of a check's subject, stream and current state.
pub const ENTITY: &str = "EligibilityCheck";

/// One thing that happened to a check.
#[derive(Debug, Clone, PartialEq)]
pub enum Happened {
    Requested(EligibilityCheckRequested),
    Answered(EligibilityCheckAnswered),
    Rejected(EligibilityCheckRejected),
    Failed(EligibilityCheckFailed),
    Cancelled(EligibilityCheckCancelled),
}

impl Happened {
    /// The payload's full message name: the header's type.
    pub fn type_name(&self) -> String {
        match self {
            Self::Requested(_) => EligibilityCheckRequested::full_name(),
            Self::Answered(_) => EligibilityCheckAnswered::full_name(),
            Self::Rejected(_) => EligibilityCheckRejected::full_name(),
            Self::Failed(_) => EligibilityCheckFailed::full_name(),
            Self::Cancelled(_) => EligibilityCheckCancelled::full_name(),
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Requested(event) => event.encode_to_vec(),
            Self::Answered(event) => event.encode_to_vec(),
            Self::Rejected(event) => event.encode_to_vec(),
            Self::Failed(event) => event.encode_to_vec(),
            Self::Cancelled(event) => event.encode_to_vec(),
        }
    }

    /// `None` for an event of another type, like the `*Changed` ones, which say nothing that the others don't.
    pub fn decode(type_name: &str, payload: &[u8]) -> Result<Option<Self>, DecodeError> {
        fn read<M: Message + Name + Default>(type_name: &str, payload: &[u8]) -> Result<Option<M>, DecodeError> {
            if type_name == M::full_name() { M::decode(payload).map(Some) } else { Ok(None) }
        }
        Ok(read(type_name, payload)?
            .map(Self::Requested)
            .or(read(type_name, payload)?.map(Self::Answered))
            .or(read(type_name, payload)?.map(Self::Rejected))
            .or(read(type_name, payload)?.map(Self::Failed))
            .or(read(type_name, payload)?.map(Self::Cancelled)))
    }
}
