//! Bearer tokens: JWTs (RFC 7519) in, a [`Viewer`](sluice_schema::viewer::Viewer) out. Whatever does not hold is one
//! [`ClientError`](sluice_schema::error::ClientError); which part did not hold is only in the debug log, by kind.

mod authenticator;
mod claims;
mod compact;
mod issuer;
mod keys;
mod refusal;
mod source;
mod verifier;

pub use authenticator::Authenticator;
pub use issuer::{Issuer, IssuerError};
pub use keys::JwksError;
pub(crate) use refusal::Refusal;
pub(crate) use source::{JwksSource, KeySource};
pub use verifier::{TokenRules, Verifier};

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod tests;
