//! The keys that heads are signed with, and believed by: Ed25519 (RFC 8032).

use std::{fmt, fs, io, path::Path, path::PathBuf, str::FromStr};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use sluice_subscriptions::audit::Digest;

use crate::private_file::{self, Unreadable};

const PUBLIC_BYTES: usize = 32;

/// Digits of a key's id.
const ID_DIGITS: usize = 16;

/// Why a key is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the audit signing key {} can't be read or written: {source}; check the path and who owns the file", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("others may read the audit signing key {}: run `chmod 600` on it, or make another with `sluice audit rotate-key`", path.display())]
    Exposed { path: PathBuf },
    #[error("{} is no Ed25519 key in PKCS #8: restore it, or move it away and a new one is made at the next start", path.display())]
    NotASigningKey { path: PathBuf },
    #[error("there is no audit signing key at {}: it is made when Sluice first starts", path.display())]
    NoSigningKey { path: PathBuf },
    #[error("the public key file {} can't be read: {source}", path.display())]
    PublicFile { path: PathBuf, source: io::Error },
    #[error("{given} is no public key, and no file that holds some: it is what `sluice audit public-key` prints")]
    NotAPublicKey { given: String },
    #[error("the system gives no random numbers")]
    NoRandom,
}

/// The key of one who signs. Its file is PKCS #8 (RFC 5208), readable by its owner only.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.id())
    }
}

impl SigningKey {
    /// Opens the key, or makes one where there is no file.
    ///
    /// # Errors
    /// The file can't be read or made, others may read it, or it holds no such key.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        match Self::read(path) {
            Err(KeyError::NoSigningKey { .. }) => Self::make(path),
            read => read,
        }
    }

    /// Opens the key that is there.
    ///
    /// # Errors
    /// As [`Self::open`], and `NoSigningKey`.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let bytes = private_file::read(path).map_err(|why| match why {
            Unreadable::Exposed => KeyError::Exposed { path: path.into() },
            Unreadable::Io(source) if source.kind() == io::ErrorKind::NotFound => {
                KeyError::NoSigningKey { path: path.into() }
            }
            Unreadable::Io(source) => KeyError::Io { path: path.into(), source },
        })?;
        Self::from_pkcs8(&bytes).ok_or_else(|| KeyError::NotASigningKey { path: path.into() })
    }

    fn make(path: &Path) -> Result<Self, KeyError> {
        match private_file::create(path, &generate()?) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(KeyError::Io { path: path.into(), source: error })
            }
            // Or somebody else was quicker.
            _ => Self::read(path),
        }
    }

    /// Puts a new key in the place of the one that is there, which is destroyed, and keeps the public half of that: heads
    /// that it has signed stay verifiable. What runs goes on with the old one until it is started again.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn rotate(path: &Path) -> Result<Rotated, KeyError> {
        let old = Self::read(path)?.public;
        let failed = |source| KeyError::Io { path: path.into(), source };
        // Before the key itself is gone.
        let mut retired = retired(path)?;
        if !retired.contains(&old) {
            retired.push(old.clone());
        }
        let lines: String = retired.iter().map(|key| format!("{key}\n")).collect();
        private_file::replace(&retired_file(path), lines.as_bytes()).map_err(failed)?;
        private_file::replace(path, &generate()?).map_err(failed)?;
        Ok(Rotated { old, new: Self::read(path)?.public })
    }

    fn from_pkcs8(bytes: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(bytes).ok()?;
        let public = PublicKey(pair.public_key().as_ref().try_into().ok()?);
        Some(Self { pair, public })
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

/// What a rotation changed.
#[derive(Debug)]
pub struct Rotated {
    pub old: PublicKey,
    pub new: PublicKey,
}

fn generate() -> Result<Vec<u8>, KeyError> {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::NoRandom)?;
    Ok(key.as_ref().to_vec())
}

/// Beside the key: the public halves of those before it.
fn retired_file(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".retired");
    name.into()
}

fn retired(path: &Path) -> Result<Vec<PublicKey>, KeyError> {
    let path = retired_file(path);
    match PublicKey::from_file(&path) {
        Err(KeyError::PublicFile { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// What a signature is believed by. As text, the 32 bytes of RFC 8032 in base64.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey([u8; PUBLIC_BYTES]);

impl PublicKey {
    /// The keys in a file: one a line; what begins with `#` is a comment.
    ///
    /// # Errors
    /// It can't be read, holds something else, or nothing.
    pub fn from_file(path: &Path) -> Result<Vec<Self>, KeyError> {
        let not_keys = || KeyError::NotAPublicKey { given: path.display().to_string() };
        let text = fs::read(path).map_err(|source| KeyError::PublicFile { path: path.into(), source })?;
        let text = String::from_utf8(text).map_err(|_| not_keys())?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Vec<_> = lines.map(str::parse).collect::<Result<_, _>>().map_err(|_| not_keys())?;
        if keys.is_empty() { Err(not_keys()) } else { Ok(keys) }
    }

    /// A key as text, or the name of a file of them.
    ///
    /// # Errors
    /// It is neither.
    pub fn from_text_or_file(given: &str) -> Result<Vec<Self>, KeyError> {
        given.parse().map_or_else(|_| Self::from_file(Path::new(given)), |key| Ok(vec![key]))
    }

    /// Of the key at `path` and of those that it has replaced: what a verifier falls back on who was given none.
    ///
    /// # Errors
    /// As [`SigningKey::read`].
    pub fn of_signing_key(path: &Path) -> Result<Vec<Self>, KeyError> {
        let mut keys = retired(path)?;
        keys.push(SigningKey::read(path)?.public);
        Ok(keys)
    }

    /// What heads name it by: the first 16 hexadecimal digits of its SHA-256.
    pub fn id(&self) -> String {
        let mut id = Digest::of(&self.0).to_string();
        id.truncate(ID_DIGITS);
        id
    }

    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// A text that is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPublicKey;

impl FromStr for PublicKey {
    type Err = NoPublicKey;

    fn from_str(text: &str) -> Result<Self, NoPublicKey> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| NoPublicKey)?;
        Ok(Self(bytes.try_into().map_err(|_| NoPublicKey)?))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_and_found_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("audit.pk8");
        assert!(matches!(SigningKey::read(&path), Err(KeyError::NoSigningKey { .. })));
        let made = SigningKey::open(&path).unwrap();
        assert_eq!(SigningKey::open(&path).unwrap().public(), made.public());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing else is left behind");
        assert!(made.public().has_signed(b"head", &made.sign(b"head")));
        assert!(!made.public().has_signed(b"another", &made.sign(b"head")));
    }

    #[test]
    fn what_is_exposed_or_no_key_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("audit.pk8");
        fs::write(&path, "no key").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(SigningKey::open(&path), Err(KeyError::Exposed { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(SigningKey::open(&path), Err(KeyError::NotASigningKey { .. })));
    }

    #[test]
    fn after_rotations_all_public_keys_are_known_and_the_old_ones_sign_no_more() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("audit.pk8");
        let first = SigningKey::open(&path).unwrap();
        let second = SigningKey::rotate(&path).unwrap();
        let third = SigningKey::rotate(&path).unwrap();
        assert_eq!((&second.old, &third.old), (first.public(), &second.new));
        let keys = PublicKey::of_signing_key(&path).unwrap();
        assert_eq!(keys, [second.old, third.old, third.new.clone()]);
        assert_eq!(SigningKey::open(&path).unwrap().public(), &third.new);
    }

    #[test]
    fn public_keys_are_read_from_text_and_from_files_with_comments() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("keys.txt");
        let [one, other] = ["a", "b"].map(|name| SigningKey::open(&home.path().join(name)).unwrap().public().clone());
        fs::write(&path, format!("# node 1\n{one}\n\n  {other}\n")).unwrap();
        let read = |given: &str| PublicKey::from_text_or_file(given);
        assert_eq!(read(&one.to_string()).unwrap(), std::slice::from_ref(&one));
        assert_eq!(read(path.to_str().unwrap()).unwrap(), [one, other]);
        for (name, text) in [("empty", "# none\n"), ("other", "AAAA\n")] {
            let path = home.path().join(name);
            fs::write(&path, text).unwrap();
            assert!(matches!(read(path.to_str().unwrap()), Err(KeyError::NotAPublicKey { .. })), "{name}");
        }
        assert!(matches!(read("nowhere.txt"), Err(KeyError::PublicFile { .. })));
    }
}
