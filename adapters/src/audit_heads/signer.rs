//! Signs where one process's chain is.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::spawn_blocking;

use super::{
    ChainEnd,
    file::{self, HeadsFileError},
    key::SigningKey,
    line::Statement,
};

/// Signs the end of one writer's chain, and keeps that in a file.
pub struct HeadSigner(Arc<Signer>);

struct Signer {
    path: PathBuf,
    key: SigningKey,
    chain: ChainEnd,
    last: Mutex<Option<Kept>>,
}

/// What was kept last.
struct Kept {
    statement: Statement,
    seq: u64,
}

/// What became of an attempt to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// Nothing was added to the chain since the last head.
    Unchanged,
    Kept,
    /// It is kept, and heads that this process had kept before are not there any more: the file was replaced, or cut.
    OthersLost,
}

impl HeadSigner {
    /// Keeps a first head: that the writer has begun. Where that works, the file and the key are of use.
    ///
    /// # Errors
    /// The file can't be written.
    pub async fn begin(path: &Path, key: SigningKey, chain: ChainEnd) -> Result<Self, HeadsFileError> {
        let this = Self(Arc::new(Signer { path: path.into(), key, chain, last: Mutex::default() }));
        this.sign().await?;
        Ok(this)
    }

    /// Signs where the chain is now, unless a head says so already. What it names is durable.
    ///
    /// # Errors
    /// The file can't be written. The next head covers what this one would have.
    pub async fn sign(&self) -> Result<Signed, HeadsFileError> {
        self.keep(false).await
    }

    /// Signs that nothing more is added. To be called when the trail is closed.
    ///
    /// # Errors
    /// As [`Self::sign`].
    pub async fn close(&self) -> Result<Signed, HeadsFileError> {
        self.keep(true).await
    }

    async fn keep(&self, closed: bool) -> Result<Signed, HeadsFileError> {
        let signer = self.0.clone();
        // It does not panic, and is not aborted; where the runtime ends, nobody waits for it.
        let path = &self.0.path;
        spawn_blocking(move || signer.keep(closed))
            .await
            .map_err(|error| HeadsFileError::Io { path: path.clone(), source: error.into() })?
    }
}

impl Signer {
    fn keep(&self, closed: bool) -> Result<Signed, HeadsFileError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let statement = Statement { writer: self.chain.writer.clone(), end: self.chain.now(), closed };
        if last.as_ref().is_some_and(|last| last.statement == statement) {
            return Ok(Signed::Unchanged);
        }
        let seq = file::append(&self.path, &statement, &self.key)?;
        let before = last.replace(Kept { statement, seq });
        let lost = before.is_some_and(|before| seq <= before.seq);
        Ok(if lost { Signed::OthersLost } else { Signed::Kept })
    }
}
