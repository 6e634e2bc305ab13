//! Bearer tokens: JWTs (RFC 7519) in, a [`Viewer`](sluice_schema::viewer::Viewer) out. Whatever does not hold is one
//! [`ClientError`](sluice_schema::error::ClientError); which part did not hold is only in the debug log, by kind.

mod claims;
mod issuer;
mod keys;
mod refusal;
mod verifier;

pub use issuer::{Issuer, IssuerError};
pub use keys::JwksError;
pub(crate) use refusal::Refusal;
pub use verifier::{TokenRules, Verifier};

#[cfg(test)]
mod tests;
