//! The two secrets of a tenant: one wraps data keys, one fingerprints inputs.

use std::sync::Arc;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hmac, rand,
};
use sluice_schema::{
    proto::header::RoutingKey,
    sealed::{DataKey, KEY_BYTES},
};

/// Of a wrapped key's format: version (1 byte), nonce (12), ciphertext and tag.
const VERSION: u8 = 1;

/// What is stored for a tenant.
#[derive(Clone)]
pub(super) struct Secrets {
    pub(super) wrapping: [u8; KEY_BYTES],
    pub(super) fingerprint: [u8; 32],
}

impl Secrets {
    /// `None` where the system gives no random numbers.
    pub(super) fn draw() -> Option<Self> {
        let mut secrets = Self { wrapping: [0; KEY_BYTES], fingerprint: [0; 32] };
        rand::fill(&mut secrets.wrapping).ok()?;
        rand::fill(&mut secrets.fingerprint).ok()?;
        Some(secrets)
    }

    /// `None` for a row that was not written so.
    pub(super) fn from_row((wrapping, fingerprint): (Vec<u8>, Vec<u8>)) -> Option<Self> {
        Some(Self { wrapping: wrapping.try_into().ok()?, fingerprint: fingerprint.try_into().ok()? })
    }
}

/// A tenant's secrets, ready to use; cheap to clone.
#[derive(Clone)]
pub(super) struct TenantKeys {
    wrapping: Arc<RandomizedNonceKey>,
    fingerprint: hmac::Key,
}

impl TenantKeys {
    pub(super) fn new(secrets: &Secrets) -> Option<Self> {
        Some(Self {
            wrapping: Arc::new(RandomizedNonceKey::new(&AES_256_GCM, &secrets.wrapping).ok()?),
            fingerprint: hmac::Key::new(hmac::HMAC_SHA256, &secrets.fingerprint),
        })
    }

    /// A new data key, wrapped. Bound to tenant and routing key: it does not open in another row.
    pub(super) fn draw_wrapped(&self, tenant: &str, key: &RoutingKey) -> Option<Vec<u8>> {
        let mut plain = [0; KEY_BYTES];
        rand::fill(&mut plain).ok()?;
        let mut body = plain.to_vec();
        let nonce = self.wrapping.seal_in_place_append_tag(aad(tenant, key), &mut body).ok()?;
        Some([&[VERSION], nonce.as_ref().as_slice(), body.as_slice()].concat())
    }

    pub(super) fn unwrap(&self, tenant: &str, key: &RoutingKey, wrapped: &[u8]) -> Option<DataKey> {
        let (version, rest) = wrapped.split_first()?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok().filter(|_| *version == VERSION)?;
        let mut body = body.to_vec();
        let plain = self.wrapping.open_in_place(nonce, aad(tenant, key), &mut body).ok()?;
        Some(DataKey::new((&*plain).try_into().ok()?))
    }

    pub(super) fn fingerprint(&self, input: &[u8]) -> [u8; 32] {
        // HMAC-SHA256 has 32 bytes.
        hmac::sign(&self.fingerprint, input).as_ref().first_chunk().copied().unwrap_or_default()
    }
}

fn aad(tenant: &str, key: &RoutingKey) -> Aad<Vec<u8>> {
    Aad::from([tenant.as_bytes(), &key.kind.to_be_bytes(), key.id.as_bytes()].join(&0))
}
