use std::path::PathBuf;

/// Why the configuration was refused: one sentence that names the key and where it was set.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {} cannot be read: {why}", path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error("unknown key `{key}` {set_in}: {hint}")]
    UnknownKey { key: String, set_in: String, hint: String },
    #[error("bad value for `{key}` {set_in}: {why}")]
    BadValue { key: String, set_in: String, why: String },
}

impl ConfigError {
    /// A value that is of the right type, but makes no sense.
    pub(super) fn bad(key: &str, set_in: String, why: impl Into<String>) -> Self {
        Self::BadValue { key: key.into(), set_in, why: why.into() }
    }
}
