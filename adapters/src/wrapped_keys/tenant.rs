//! The two secrets of a tenant: one wraps data keys, one fingerprints inputs.

use aws_lc_rs::{hmac, rand};
use sluice_schema::{
    proto::header::RoutingKey,
    sealed::{DataKey, KEY_BYTES},
};

use super::wrapping::WrappingKey;

/// What is stored for a tenant.
#[derive(Clone)]
pub(crate) struct Secrets {
    pub(crate) wrapping: [u8; KEY_BYTES],
    pub(crate) fingerprint: [u8; 32],
}

impl Secrets {
    /// `None` where the system gives no random numbers.
    pub(crate) fn draw() -> Option<Self> {
        let mut secrets = Self { wrapping: [0; KEY_BYTES], fingerprint: [0; 32] };
        rand::fill(&mut secrets.wrapping).ok()?;
        rand::fill(&mut secrets.fingerprint).ok()?;
        Some(secrets)
    }

    /// `None` for a row that was not written so.
    pub(crate) fn from_row((wrapping, fingerprint): (Vec<u8>, Vec<u8>)) -> Option<Self> {
        Some(Self { wrapping: wrapping.try_into().ok()?, fingerprint: fingerprint.try_into().ok()? })
    }
}

/// A tenant's secrets, ready to use; cheap to clone.
#[derive(Clone)]
pub(crate) struct TenantKeys {
    wrapping: WrappingKey,
    fingerprint: hmac::Key,
}

impl TenantKeys {
    pub(crate) fn new(secrets: &Secrets) -> Option<Self> {
        Some(Self {
            wrapping: WrappingKey::new(&secrets.wrapping)?,
            fingerprint: hmac::Key::new(hmac::HMAC_SHA256, &secrets.fingerprint),
        })
    }

    /// A new data key, wrapped. Bound to tenant and routing key: it does not open in another row.
    pub(crate) fn draw_wrapped(&self, tenant: &str, key: &RoutingKey) -> Option<Vec<u8>> {
        let mut plain = [0; KEY_BYTES];
        rand::fill(&mut plain).ok()?;
        self.wrapping.wrap(&place(tenant, key), &plain)
    }

    pub(crate) fn unwrap(&self, tenant: &str, key: &RoutingKey, wrapped: &[u8]) -> Option<DataKey> {
        let plain = self.wrapping.unwrap(&place(tenant, key), wrapped)?;
        Some(DataKey::new(plain.as_slice().try_into().ok()?))
    }

    pub(crate) fn fingerprint(&self, input: &[u8]) -> [u8; 32] {
        // HMAC-SHA256 has 32 bytes.
        hmac::sign(&self.fingerprint, input).as_ref().first_chunk().copied().unwrap_or_default()
    }
}

fn place(tenant: &str, key: &RoutingKey) -> Vec<u8> {
    [tenant.as_bytes(), &key.kind.to_be_bytes(), key.id.as_bytes()].join(&0)
}
