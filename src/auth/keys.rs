use aws_lc_rs::signature::ED25519_PUBLIC_KEY_LEN;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::{Deserialize, de::IgnoredAny};

use super::refusal::Refusal;

/// Why a JWK set (RFC 7517) cannot be used. `at` is the key's place in the set, from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    #[error("the JWK set is not JSON of the form {{\"keys\":[…]}} with keys as in RFC 7517")]
    Malformed,
    #[error("the JWK set holds no signing key")]
    Empty,
    #[error("key {at} of the JWK set has no `alg`: name RS256, ES256 or EdDSA, so that no token chooses it")]
    NoAlgorithm { at: usize },
    #[error("key {at} of the JWK set has an `alg` other than RS256, ES256 and EdDSA")]
    UnsupportedAlgorithm { at: usize },
    #[error("key {at} of the JWK set does not fit its `alg` (kty, crv or the length of its numbers)")]
    Mismatch { at: usize },
    #[error("key {at} of the JWK set has its private part in it: replace that key, and publish the public part only")]
    Private { at: usize },
    #[error("key {at} of the JWK set has no `kid`, or that of another: with several keys each needs its own")]
    KeyId { at: usize },
}

/// The public keys that tokens may be signed with.
pub(super) struct Keys(Vec<Key>);

pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// RFC 7517, section 4; RFC 7518, section 6; RFC 8037, section 2.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    alg: Option<String>,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

impl Keys {
    /// Reads a JWK set. Keys for encryption (`use` other than `sig`) are passed over; anything else that cannot be used
    /// is an error, so that a mistake shows at the start and not at the first token.
    pub(super) fn parse(json: &str) -> Result<Self, JwksError> {
        let set: JwkSet = serde_json::from_str(json).map_err(|_| JwksError::Malformed)?;
        let signing =
            set.keys.into_iter().enumerate().filter(|(_, jwk)| jwk.usage.as_deref().unwrap_or("sig") == "sig");
        let keys = signing.map(|(at, jwk)| Ok((at, jwk.into_key(at)?))).collect::<Result<Vec<_>, _>>()?;
        match keys.iter().find(|(_, key)| keys.len() > 1 && !has_own_id(key, &keys)) {
            Some((at, _)) => Err(JwksError::KeyId { at: *at }),
            None if keys.is_empty() => Err(JwksError::Empty),
            None => Ok(Self(keys.into_iter().map(|(_, key)| key).collect())),
        }
    }

    /// The key for a token that names `id`, or that names none.
    pub(super) fn find(&self, id: Option<&str>) -> Result<&Key, Refusal> {
        match (id, self.0.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err(Refusal::NoKeyId),
            (Some(_), _) => self.0.iter().find(|key| key.id.as_deref() == id).ok_or(Refusal::UnknownKey),
        }
    }
}

fn has_own_id(key: &Key, all: &[(usize, Key)]) -> bool {
    key.id.is_some() && all.iter().filter(|(_, other)| other.id == key.id).count() == 1
}

impl Jwk {
    fn into_key(self, at: usize) -> Result<Key, JwksError> {
        if self.d.is_some() || self.k.is_some() {
            return Err(JwksError::Private { at });
        }
        let (algorithm, decoding) = match self.alg.as_deref().ok_or(JwksError::NoAlgorithm { at })? {
            "RS256" => (Algorithm::RS256, self.rsa()),
            "ES256" => (Algorithm::ES256, self.p256()),
            "EdDSA" => (Algorithm::EdDSA, self.ed25519()),
            _ => return Err(JwksError::UnsupportedAlgorithm { at }),
        };
        let decoding = decoding.ok_or(JwksError::Mismatch { at })?;
        Ok(Key { id: self.kid, algorithm, decoding })
    }

    fn is(&self, kty: &str, crv: Option<&str>) -> bool {
        self.kty == kty && self.crv.as_deref() == crv
    }

    /// 2048 bits at least (RFC 7518, section 3.3).
    fn rsa(&self) -> Option<DecodingKey> {
        let (n, e) = (self.n.as_deref()?, self.e.as_deref()?);
        let fits = self.is("RSA", None) && URL_SAFE_NO_PAD.decode(n).is_ok_and(|n| (256..=1024).contains(&n.len()));
        fits.then(|| DecodingKey::from_rsa_components(n, e).ok()).flatten()
    }

    fn p256(&self) -> Option<DecodingKey> {
        let (x, y) = (self.x.as_deref()?, self.y.as_deref()?);
        let fits = self.is("EC", Some("P-256")) && [x, y].iter().all(|part| has_length(part, 32));
        fits.then(|| DecodingKey::from_ec_components(x, y).ok()).flatten()
    }

    fn ed25519(&self) -> Option<DecodingKey> {
        let x = self.x.as_deref()?;
        let fits = self.is("OKP", Some("Ed25519")) && has_length(x, ED25519_PUBLIC_KEY_LEN);
        fits.then(|| DecodingKey::from_ed_components(x).ok()).flatten()
    }
}

fn has_length(base64: &str, bytes: usize) -> bool {
    URL_SAFE_NO_PAD.decode(base64).is_ok_and(|decoded| decoded.len() == bytes)
}
