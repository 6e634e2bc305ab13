use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jiff::Timestamp;
use jsonwebtoken::crypto;
use sluice_schema::{error::ClientError, viewer::Viewer};

use super::{
    claims::Claims,
    compact::Compact,
    keys::{JwksError, Keys},
    refusal::Refusal,
};

/// The longest token that is looked at, in bytes.
const MAX_BYTES: usize = 8 * 1024;

/// What a token must say, beside being signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRules {
    /// `iss`, to the letter.
    pub issuer: String,
    /// What `aud` must be, or hold.
    pub audience: String,
    /// How far clocks may be apart: a token counts this much before its `nbf` and after its `exp`. Keep it small.
    pub leeway: Duration,
    /// The longest from `iat` (or `nbf`, where there is none) to `exp`. A revocation is kept for as long.
    pub max_lifetime: Duration,
}

impl TokenRules {
    /// With a leeway of 30 s, and a day as the longest lifetime.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            leeway: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Reads tokens. A key's algorithm is fixed by the key set, never by the token.
pub struct Verifier {
    keys: RwLock<Arc<Keys>>,
    rules: TokenRules,
}

impl Verifier {
    /// From a JWK set (RFC 7517): public keys, each with its `alg` (RS256, ES256 or EdDSA), and a `kid` where there are
    /// several.
    pub fn from_jwks(jwks: &str, rules: TokenRules) -> Result<Self, JwksError> {
        Ok(Self { keys: RwLock::new(Arc::new(Keys::parse(jwks)?)), rules })
    }

    /// Key rotation: from now on only these keys count. After an error the old ones stay.
    pub fn replace_keys(&self, jwks: &str) -> Result<(), JwksError> {
        let keys = Arc::new(Keys::parse(jwks)?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// Who presents this token (without the word "Bearer"). Any fault is `UNAUTHENTICATED`, and always the same text.
    pub fn verify(&self, token: &str) -> Result<Viewer, ClientError> {
        self.verify_at(token, Timestamp::now())
    }

    /// As [`Self::verify`], at a given time.
    pub fn verify_at(&self, token: &str, now: Timestamp) -> Result<Viewer, ClientError> {
        self.read(token, now).map_err(Refusal::to_client)
    }

    pub(super) fn read(&self, token: &str, now: Timestamp) -> Result<Viewer, Refusal> {
        if token.len() > MAX_BYTES {
            return Err(Refusal::TooLong);
        }
        let compact = Compact::parse(token)?;
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let key = keys.find(compact.key_id.as_deref())?;
        if compact.algorithm != key.algorithm {
            return Err(Refusal::Algorithm);
        }
        let holds = crypto::verify(compact.signature, compact.message.as_bytes(), &key.decoding, key.algorithm);
        match holds {
            Ok(true) => compact.claims::<Claims>()?.viewer(&self.rules, now),
            Ok(false) | Err(_) => Err(Refusal::Signature),
        }
    }
}
