//! Why a SpiceDB can't be used. Each text is what the process ends with.

use std::{io, path::PathBuf};

use sluice_subscriptions::relationships::SchemaError;
use tonic::{Code, Status};

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the endpoint of SpiceDB is not http://host:port or https://host:port; correct it")]
    Endpoint,
    #[error("a CA file for SpiceDB has a use with https only; write the endpoint with https://, or leave the file out")]
    CaWithoutTls,
    #[error("the CA file {} can't be read: {source}; check the path and who may read it", path.display())]
    CaFile { path: PathBuf, source: io::Error },
    #[error("the CA file {} holds no certificates in PEM; give the file that signed SpiceDB's certificate", path.display())]
    Certificates { path: PathBuf },
    #[error("the preshared key of SpiceDB holds characters that no header can; set another one on both sides")]
    KeyText,
    #[error("the deadline and the number of requests in flight of SpiceDB must be more than 0; set both")]
    Limits,
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error("SpiceDB at {endpoint} can't be reached: start it, or correct the endpoint")]
    Unreachable { endpoint: String },
    #[error("SpiceDB at {endpoint} gave no answer in time: look at its health and at its datastore's")]
    Slow { endpoint: String },
    #[error("SpiceDB at {endpoint} refuses the preshared key: set the one of its --grpc-preshared-key")]
    Key { endpoint: String },
    #[error("SpiceDB at {endpoint} answers {code:?} when asked to {what}: look into its log")]
    Refused { endpoint: String, what: &'static str, code: Code },
    /// Told by name: `member#guardian`.
    #[error(
        "the authorization schema of SpiceDB at {endpoint} is not this version's ({}): let Sluice write it, or write it \
         with zed",
        differences.join(", ")
    )]
    Differs { endpoint: String, differences: Vec<String> },
    /// A relation or subject type is dropped by a person who has seen to it that none is left, never by a start-up.
    #[error(
        "the authorization schema of SpiceDB at {endpoint} has what this version does not ({}): run the version that \
         wrote it, or remove that with zed",
        removals.join(", ")
    )]
    Removes { endpoint: String, removals: Vec<String> },
    #[error(
        "the authorization schema can't be written to SpiceDB at {endpoint} without touching definitions of others ({}): \
         write it with zed",
        touched.join(", ")
    )]
    Foreign { endpoint: String, touched: Vec<String> },
    #[error("the schema that SpiceDB at {endpoint} tells can't be read: write Sluice's into it with zed")]
    ForeignText { endpoint: String },
}

/// The sentence for a call that failed. SpiceDB's own text may quote ids, so only its code is used.
pub(super) fn refused(endpoint: &str, what: &'static str, status: &Status) -> OpenError {
    let endpoint = endpoint.to_owned();
    match status.code() {
        Code::Unavailable => OpenError::Unreachable { endpoint },
        Code::DeadlineExceeded => OpenError::Slow { endpoint },
        Code::Unauthenticated | Code::PermissionDenied => OpenError::Key { endpoint },
        code => OpenError::Refused { endpoint, what, code },
    }
}
