use std::{fmt, path::PathBuf};

use async_trait::async_trait;
use sluice_adapters::jwks::{JwksUrl, JwksUrlError};

use crate::config::{Auth, AuthMode};

/// The largest file that is read as a JWK set, in bytes.
const MAX_BYTES: u64 = 256 * 1024;

/// Where the keys of tokens are read from, again and again.
#[async_trait]
pub(crate) trait KeySource: Send + Sync + 'static {
    /// The JWK set as it is now. An error says why there is none, and repeats nothing of what is there.
    async fn read(&self) -> Result<String, String>;
}

/// Where an identity provider's public keys are.
pub(crate) enum JwksSource {
    File(PathBuf),
    Url { url: String, client: Box<JwksUrl> },
}

impl JwksSource {
    /// As configured; `None` where Sluice signs tokens itself.
    ///
    /// # Errors
    /// The URL is none that may be read.
    pub(crate) fn of(auth: &Auth) -> Result<Option<Self>, JwksUrlError> {
        match auth.mode {
            AuthMode::Embedded => Ok(None),
            AuthMode::JwksFile => Ok(auth.jwks_file.clone().map(Self::File)),
            AuthMode::JwksUrl => {
                let url = auth.jwks_url.clone().unwrap_or_default();
                Ok(Some(Self::Url { client: Box::new(JwksUrl::new(&url)?), url }))
            }
        }
    }
}

impl fmt::Display for JwksSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => fmt::Display::fmt(&path.display(), f),
            Self::Url { url, .. } => f.write_str(url),
        }
    }
}

#[async_trait]
impl KeySource for JwksSource {
    async fn read(&self) -> Result<String, String> {
        match self {
            Self::Url { client, .. } => client.read().await.map_err(|error| error.to_string()),
            Self::File(path) => {
                let length = tokio::fs::metadata(path).await.map_err(|error| error.to_string())?.len();
                if length > MAX_BYTES {
                    return Err(format!("it is larger than {} KiB", MAX_BYTES / 1024));
                }
                tokio::fs::read_to_string(path).await.map_err(|error| error.to_string())
            }
        }
    }
}
