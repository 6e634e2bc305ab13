//! Which token somebody came with: what a revocation can mean.

use std::fmt;

use aws_lc_rs::digest::{self, SHA256, SHA256_OUTPUT_LEN};
use jiff::Timestamp;

/// A token, as far as it is told from others of the same user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Token {
    /// By its `jti` (RFC 7519, section 4.1.7). One without can be revoked only with all others of its user.
    pub id: Option<TokenId>,
    /// Its `iat` (section 4.1.6), whole seconds. One without counts as issued at the epoch: before every revocation.
    pub issued: Timestamp,
}

/// A token's name: the SHA-256 of its `jti`. The `jti` itself is kept nowhere, so that it can't come into a log, an error, the
/// audit trail or a database. As text, 64 hexadecimal digits in lower case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId([u8; SHA256_OUTPUT_LEN]);

/// Why a text is no `jti`; it is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token's id (`jti`) has 1 to {} bytes", TokenId::MAX_BYTES)]
pub struct InvalidTokenId;

impl TokenId {
    /// The longest `jti`, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// # Errors
    /// It is empty or too long.
    pub fn of(jti: &str) -> Result<Self, InvalidTokenId> {
        if jti.is_empty() || jti.len() > Self::MAX_BYTES {
            return Err(InvalidTokenId);
        }
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(digest::digest(&SHA256, jti.as_bytes()).as_ref());
        Ok(Self(bytes))
    }

    /// As it was stored.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

/// From the claim itself.
impl<'de> serde::Deserialize<'de> for TokenId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let jti = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::of(&jti).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_by_the_digest_of_its_id() {
        let id = TokenId::of("abc").expect("three bytes");
        // FIPS 180-2, appendix B.1.
        assert_eq!(id.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(format!("{id:?}"), format!("TokenId({id})"));
        assert_eq!(TokenId::from_bytes(id.as_bytes()), Some(id));
        assert_eq!(TokenId::from_bytes(b"short"), None);
    }

    #[test]
    fn an_id_is_bounded() {
        assert_eq!(TokenId::of(""), Err(InvalidTokenId));
        assert!(TokenId::of(&"x".repeat(256)).is_ok());
        assert_eq!(TokenId::of(&"x".repeat(257)), Err(InvalidTokenId));
        assert_eq!(InvalidTokenId.to_string(), "a token's id (`jti`) has 1 to 256 bytes");
    }
}
