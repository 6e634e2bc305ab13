use sluice_schema::error::{ClientError, Code};

/// Why a token does not hold. Told to nobody but the debug log: a client that is told which check failed can search for
/// a way round it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("too long")]
    TooLong,
    #[error("not a signed JWT, or with an algorithm that is not known here")]
    Header,
    #[error("a JWT of another kind than access tokens are")]
    Kind,
    #[error("a member is there twice")]
    Twice,
    #[error("a critical header that is not known here")]
    Critical,
    #[error("a key that is not known here")]
    UnknownKey,
    #[error("no name of a key, where there are several")]
    NoKeyId,
    #[error("another algorithm than its key is for")]
    Algorithm,
    #[error("a signature that does not match")]
    Signature,
    #[error("a claim is missing or of the wrong type")]
    Claims,
    #[error("another issuer")]
    Issuer,
    #[error("another audience")]
    Audience,
    #[error("expired")]
    Expired,
    #[error("not yet valid")]
    NotYetValid,
    #[error("valid for longer than any token may be")]
    Lifetime,
    #[error("revoked")]
    Revoked,
}

impl Refusal {
    /// The one answer to all of them.
    pub(crate) fn to_client(self) -> ClientError {
        tracing::debug!(reason = %self, "token refused");
        ClientError::new(
            Code::Unauthenticated,
            "The token is malformed, expired, revoked or not meant for this service. Sign in again and send the new one as `Bearer`.",
        )
    }
}
