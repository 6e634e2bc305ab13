//! The key that tenants' secrets are wrapped with. It is never in the database.

use std::{fmt, fs, io, os::unix::fs::MetadataExt, path::Path, path::PathBuf};

use aws_lc_rs::{
    hkdf::{HKDF_SHA256, Prk, Salt},
    rand,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use sluice_schema::sealed::KEY_BYTES;

use crate::wrapped_keys::{Secrets, WrappingKey};

/// Why a file is of no use as a master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    #[error("the master key {} can't be read: {source}; check the path and who owns the file", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("others may read the master key {}: run `chmod 600` on it", path.display())]
    Exposed { path: PathBuf },
    #[error("{} is no master key: it holds 32 random bytes as base64, as `openssl rand -base64 32` writes them", path.display())]
    NotAKey { path: PathBuf },
    #[error("the system gives no random numbers")]
    NoRandom,
}

/// 32 random bytes that everything in the keyring hangs on.
#[derive(Clone)]
pub struct MasterKey([u8; KEY_BYTES]);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    pub fn generate() -> Result<Self, MasterKeyError> {
        let mut bytes = [0; KEY_BYTES];
        rand::fill(&mut bytes).map_err(|_| MasterKeyError::NoRandom)?;
        Ok(Self(bytes))
    }

    /// Reads a file of base64 text (RFC 4648, section 4; white space around it is fine) that only its owner may read.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, MasterKeyError> {
        let path = path.as_ref();
        let failed = |source| MasterKeyError::Io { path: path.into(), source };
        let mode = fs::metadata(path).map_err(failed)?.mode();
        if mode & 0o077 != 0 {
            return Err(MasterKeyError::Exposed { path: path.into() });
        }
        let not_a_key = || MasterKeyError::NotAKey { path: path.into() };
        let text = fs::read(path).map_err(failed)?;
        let bytes = STANDARD.decode(text.trim_ascii()).map_err(|_| not_a_key())?;
        Ok(Self(bytes.try_into().map_err(|_| not_a_key())?))
    }

    /// The text that [`Self::from_file`] reads: for the file, and for nothing else.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Tells master keys apart, and nothing of them.
    pub(super) fn check_value(&self) -> Option<[u8; 32]> {
        self.derive(b"sluice.master-key.check")
    }

    fn derive(&self, purpose: &[u8]) -> Option<[u8; 32]> {
        let prk: Prk = Salt::new(HKDF_SHA256, &[]).extract(&self.0);
        let mut derived = [0; 32];
        prk.expand(&[purpose], HKDF_SHA256).and_then(|okm| okm.fill(&mut derived)).ok()?;
        Some(derived)
    }

    pub(super) fn wrapper(&self) -> Option<Wrapper> {
        Some(Wrapper {
            key: WrappingKey::new(&self.derive(b"sluice.tenant-secrets")?)?,
            check_value: self.check_value()?,
        })
    }
}

/// A master key at work; cheap to clone.
#[derive(Clone)]
pub(super) struct Wrapper {
    key: WrappingKey,
    pub(super) check_value: [u8; 32],
}

impl Wrapper {
    /// Bound to the tenant: it does not open in another row.
    pub(super) fn wrap(&self, tenant: &str, secrets: &Secrets) -> Option<Vec<u8>> {
        self.key.wrap(&place(tenant), &[secrets.wrapping, secrets.fingerprint].concat())
    }

    pub(super) fn unwrap(&self, tenant: &str, wrapped: &[u8]) -> Option<Secrets> {
        let plain = self.key.unwrap(&place(tenant), wrapped)?;
        let (wrapping, fingerprint) = plain.split_at_checked(KEY_BYTES)?;
        Secrets::from_row((wrapping.to_vec(), fingerprint.to_vec()))
    }
}

fn place(tenant: &str) -> Vec<u8> {
    [b"tenant", tenant.as_bytes()].join(&0)
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    use super::*;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("master.key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (home, path)
    }

    #[test]
    fn a_file_gives_the_key_that_was_written_to_it() {
        let key = MasterKey::generate().unwrap();
        let (_home, path) = file(&format!("{}\n", key.to_base64()), 0o600);
        assert_eq!(MasterKey::from_file(path).unwrap().0, key.0);
    }

    #[test]
    fn what_is_no_key_says_so_and_shows_nothing_of_it() {
        let key = MasterKey::generate().unwrap();
        for text in ["", "AAAA", "not base64!", &format!("{}AAAA", key.to_base64())] {
            let (_home, path) = file(text, 0o600);
            let error = MasterKey::from_file(path).unwrap_err().to_string();
            assert!(error.contains("is no master key") && (text.is_empty() || !error.contains(text)), "{error}");
        }
        assert_eq!(format!("{key:?}"), "MasterKey(…)");
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        for mode in [0o640, 0o604, 0o620] {
            let (_home, path) = file(&MasterKey::generate().unwrap().to_base64(), mode);
            assert!(matches!(MasterKey::from_file(path), Err(MasterKeyError::Exposed { .. })), "{mode:o}");
        }
    }

    #[test]
    fn a_tenants_secrets_open_in_their_own_row_only() {
        let wrapper = MasterKey::generate().unwrap().wrapper().unwrap();
        let secrets = Secrets::draw().unwrap();
        let wrapped = wrapper.wrap("acme", &secrets).unwrap();
        assert_eq!(wrapper.unwrap("acme", &wrapped).unwrap().wrapping, secrets.wrapping);
        assert!(wrapper.unwrap("birch", &wrapped).is_none());
        assert!(MasterKey::generate().unwrap().wrapper().unwrap().unwrap("acme", &wrapped).is_none());
    }
}
