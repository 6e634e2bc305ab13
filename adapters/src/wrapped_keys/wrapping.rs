//! Keys that keys are wrapped with: AES-256-GCM.
//!
//! Format of what is wrapped: version (1 byte, now 1), nonce (12), ciphertext and tag.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use sluice_schema::sealed::KEY_BYTES;

const VERSION: u8 = 1;

/// A key that wraps others; cheap to clone.
#[derive(Clone)]
pub(crate) struct WrappingKey(Arc<RandomizedNonceKey>);

impl WrappingKey {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Option<Self> {
        Some(Self(Arc::new(RandomizedNonceKey::new(&AES_256_GCM, key).ok()?)))
    }

    /// Wraps `plain`, bound to `place`: it does not unwrap in another row.
    pub(crate) fn wrap(&self, place: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let mut body = plain.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(place), &mut body).ok()?;
        Some([&[VERSION], nonce.as_ref().as_slice(), body.as_slice()].concat())
    }

    /// `None` where it was wrapped by another key, for another place, or altered.
    pub(crate) fn unwrap(&self, place: &[u8], wrapped: &[u8]) -> Option<Vec<u8>> {
        let (version, rest) = wrapped.split_first()?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok().filter(|_| *version == VERSION)?;
        let mut body = body.to_vec();
        let length = self.0.open_in_place(nonce, Aad::from(place), &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unwraps_what_it_wrapped_in_its_place_only() {
        let key = WrappingKey::new(&[7; KEY_BYTES]).unwrap();
        let wrapped = key.wrap(b"acme", b"secret").unwrap();
        assert_eq!(key.unwrap(b"acme", &wrapped).unwrap(), b"secret");
        assert_eq!(key.unwrap(b"birch", &wrapped), None, "another place");
        assert_eq!(WrappingKey::new(&[8; KEY_BYTES]).unwrap().unwrap(b"acme", &wrapped), None, "another key");
        for cut in 0..wrapped.len() {
            assert_eq!(key.unwrap(b"acme", &wrapped[..cut]), None, "cut at {cut}");
        }
    }
}
