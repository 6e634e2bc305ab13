use std::{
    fs, io,
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use sluice_schema::{
    ids::{TenantId, UserId},
    viewer::PurposeOfUse,
};

use super::verifier::{TokenRules, Verifier};

/// The key's file, in the data directory: PKCS #8 (RFC 5208), Ed25519.
const FILE: &str = "jwt-key.pk8";

/// Why the embedded mode cannot issue tokens.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    #[error("the token key {path} cannot be read or written: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "others may read the token key {path}: run `chmod 600` on it, or delete it (tokens issued before then end)"
    )]
    Exposed { path: PathBuf },
    #[error("{path} is no Ed25519 key in PKCS #8: delete it, and a new one is made (tokens issued before then end)")]
    NotAKey { path: PathBuf },
    #[error("the token could not be signed")]
    Signing,
    #[error(
        "no token may be valid for longer than {} s here (`auth.max_token_lifetime`): ask for a shorter one", max.as_secs()
    )]
    Lifetime { max: Duration },
}

/// Issues tokens, for the embedded mode and for tests. Its key stays in the data directory, so that tokens outlive a
/// restart.
pub struct Issuer {
    signing: EncodingKey,
    public: String,
    id: String,
    rules: TokenRules,
}

impl Issuer {
    /// Opens the key in `data`, or makes one there with mode 0600.
    pub fn open(data: &Path, rules: TokenRules) -> Result<Self, IssuerError> {
        let path = data.join(FILE);
        let pkcs8 = match read(&path) {
            Err(IssuerError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => generate(&path)?,
            read => read?,
        };
        Self::from_pkcs8(&pkcs8, rules).ok_or(IssuerError::NotAKey { path })
    }

    fn from_pkcs8(pkcs8: &[u8], rules: TokenRules) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
        let public = URL_SAFE_NO_PAD.encode(pair.public_key());
        // RFC 7638, section 3: the members in this order, and no others.
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}"#);
        let id = URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()));
        Some(Self { signing: EncodingKey::from_ed_der(pkcs8), public, id, rules })
    }

    /// A token for `user` that is valid from now, for `ttl` (cut to seconds).
    pub fn issue(
        &self,
        user: &UserId,
        tenant: &TenantId,
        purpose: PurposeOfUse,
        ttl: Duration,
    ) -> Result<String, IssuerError> {
        if ttl > self.rules.max_lifetime {
            return Err(IssuerError::Lifetime { max: self.rules.max_lifetime });
        }
        let now = Timestamp::now().as_second();
        let ttl = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        self.sign(&json!({
            "iss": self.rules.issuer,
            "aud": self.rules.audience,
            "sub": user,
            "tenant": tenant,
            "purpose_of_use": purpose,
            "iat": now,
            "nbf": now,
            "exp": now.saturating_add(ttl),
        }))
    }

    pub(super) fn sign(&self, claims: &serde_json::Value) -> Result<String, IssuerError> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.signing).map_err(|_| IssuerError::Signing)
    }

    /// Its public key, as a JWK set.
    pub fn jwks(&self) -> String {
        let key = json!({
            "kty": "OKP", "crv": "Ed25519", "x": self.public, "kid": self.id, "alg": "EdDSA", "use": "sig",
        });
        json!({ "keys": [key] }).to_string()
    }

    /// A verifier that takes its tokens and no others.
    pub fn verifier(&self) -> Verifier {
        Verifier::from_jwks(&self.jwks(), self.rules.clone()).expect("its own key set is of the right form")
    }
}

fn read(path: &Path) -> Result<Vec<u8>, IssuerError> {
    let failed = |source| IssuerError::Io { path: path.into(), source };
    let mode = fs::metadata(path).map_err(failed)?.mode();
    if mode & 0o077 != 0 {
        return Err(IssuerError::Exposed { path: path.into() });
    }
    fs::read(path).map_err(failed)
}

/// Written aside and linked into place: a crash leaves no half key behind, and of two that start at once one wins.
fn generate(path: &Path) -> Result<Vec<u8>, IssuerError> {
    let failed = |source| IssuerError::Io { path: path.into(), source };
    let key =
        Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| failed(io::Error::other("no randomness")))?;
    let aside = path.with_extension(format!("new-{}", std::process::id()));
    let written = write_private(&aside, key.as_ref()).and_then(|()| fs::hard_link(&aside, path));
    let removed = fs::remove_file(&aside);
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path),
        written => written.and(removed).map_err(failed).map(|()| key.as_ref().to_vec()),
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
