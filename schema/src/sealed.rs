//! Payloads at rest: AES-256-GCM under a data key of the member's own.
//!
//! Format: version (1 byte, now 1), nonce (12), ciphertext and tag. The event's id, tenant and type are authenticated with
//! it, so that a payload moved under another header does not open.

use std::{fmt, sync::Arc};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use bytes::Bytes;

use crate::proto::header::Header;

const VERSION: u8 = 1;

/// The bytes of a data key.
pub const KEY_BYTES: usize = 32;

/// An encrypted payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Bytes);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// A key that payloads are sealed with; cheap to clone.
#[derive(Clone)]
pub struct DataKey(Arc<RandomizedNonceKey>);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

/// The payload does not open: it was altered, or belongs to another key or header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event's payload does not open with its key")]
pub struct Unopenable;

impl DataKey {
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        // The length is the algorithm's own, so this does not fail.
        Self(Arc::new(RandomizedNonceKey::new(&AES_256_GCM, key).expect("a 256-bit key")))
    }

    /// Encrypts the payload of the event with this header.
    pub fn seal(&self, header: &Header, plaintext: &[u8]) -> Result<Sealed, Unopenable> {
        let mut body = plaintext.to_vec();
        let nonce = self.0.seal_in_place_append_tag(aad(header), &mut body).map_err(|_| Unopenable)?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + body.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&body);
        Ok(Sealed(sealed.into()))
    }

    /// Decrypts the payload of the event with this header.
    pub fn open(&self, header: &Header, sealed: &Sealed) -> Result<Bytes, Unopenable> {
        let (nonce, body) = split(&sealed.0).ok_or(Unopenable)?;
        let mut body = body.to_vec();
        let length = self.0.open_in_place(nonce, aad(header), &mut body).map_err(|_| Unopenable)?.len();
        body.truncate(length);
        Ok(body.into())
    }
}

fn split(sealed: &[u8]) -> Option<(Nonce, &[u8])> {
    let (version, rest) = sealed.split_first()?;
    let (nonce, body) = rest.split_at_checked(NONCE_LEN)?;
    (*version == VERSION).then_some((Nonce::try_assume_unique_for_key(nonce).ok()?, body))
}

fn aad(header: &Header) -> Aad<Vec<u8>> {
    Aad::from([&header.event_id, &header.tenant, &header.r#type].map(String::as_str).join("\0").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(event_id: &str) -> Header {
        Header { event_id: event_id.into(), tenant: "acme".into(), r#type: "x.Y".into(), ..Header::default() }
    }

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        let key = DataKey::new(&[7; KEY_BYTES]);
        let sealed = key.seal(&header("e-1"), b"covered").expect("seals");
        assert_eq!(key.open(&header("e-1"), &sealed).expect("opens"), "covered");
        assert_eq!(key.open(&header("e-2"), &sealed), Err(Unopenable), "another header");
        assert_eq!(DataKey::new(&[8; KEY_BYTES]).open(&header("e-1"), &sealed), Err(Unopenable), "another key");
        for cut in 0..sealed.0.len() {
            assert_eq!(key.open(&header("e-1"), &Sealed(sealed.0.slice(..cut))), Err(Unopenable), "cut at {cut}");
        }
    }

    #[test]
    fn the_same_payload_never_seals_alike() {
        let key = DataKey::new(&[7; KEY_BYTES]);
        assert_ne!(key.seal(&header("e-1"), b"x").expect("seals"), key.seal(&header("e-1"), b"x").expect("seals"));
    }
}
