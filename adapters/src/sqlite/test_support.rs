//! A data directory for a test, gone with it.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::DataDir;

pub(super) struct Home {
    /// First, so that the lock is released before the directory goes.
    pub(super) data: DataDir,
    _directory: TempDir,
}

impl Home {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { data: DataDir::open(directory.path().join("data")).unwrap(), _directory: directory }
    }

    /// What a crash of the process would leave: the files as they are now, the shared memory gone.
    pub(super) fn after_crash(&self, file: &str) -> Self {
        let copy = Self::new();
        for name in [file.to_owned(), wal_of(file)] {
            if self.data.path().join(&name).exists() {
                fs::copy(self.data.path().join(&name), copy.data.path().join(&name)).unwrap();
            }
        }
        copy
    }
}

pub(super) fn wal_of(file: &str) -> String {
    format!("{file}-wal")
}

/// Cuts a file off.
pub(super) fn cut(path: &Path, length: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}
