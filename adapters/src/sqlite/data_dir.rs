//! The directory that everything durable is in, held by one process at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::OpenError;

const LOCK_FILE: &str = "sluice.lock";

const OWNER_ONLY: u32 = 0o600;

/// A locked data directory. The lock is held until the last clone is dropped; every open file has one.
#[derive(Debug, Clone)]
pub struct DataDir {
    path: Arc<Path>,
    _lock: Arc<File>,
}

impl DataDir {
    /// Creates the directory where it is missing (mode 0700), and locks it.
    ///
    /// # Errors
    /// `InUse` where another process holds it, and `Io`.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let path = path.into();
        let io_error = |source| OpenError::Io { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(io_error)?;
        let mut lock = open_lock_file(&path).map_err(io_error)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { holder: holder(&mut lock), path }),
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        write_holder(&mut lock).map_err(io_error)?;
        Ok(Self { path: path.into(), _lock: Arc::new(lock) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The path of a file that only its owner may read: made empty where it is missing, closed to others where a copy
    /// opened it. SQLite gives the files that it puts beside it the same mode.
    pub(super) fn private_file(&self, name: &str) -> Result<PathBuf, OpenError> {
        let path = self.file(name);
        let opened = OpenOptions::new().create(true).append(true).mode(OWNER_ONLY).open(&path);
        match opened.and_then(|file| file.set_permissions(Permissions::from_mode(OWNER_ONLY))) {
            Ok(()) => Ok(path),
            Err(source) => Err(OpenError::Io { path, source }),
        }
    }
}

fn open_lock_file(directory: &Path) -> std::io::Result<File> {
    let path = directory.join(LOCK_FILE);
    fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(OWNER_ONLY).open(path)
}

/// For whoever is refused; the lock itself is the operating system's.
fn write_holder(lock: &mut File) -> std::io::Result<()> {
    lock.set_len(0)?;
    lock.write_all(std::process::id().to_string().as_bytes())
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    match lock.read_to_string(&mut text) {
        Ok(_) if !text.is_empty() => format!("pid {text}"),
        _ => "pid unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        let first = DataDir::open(&path).unwrap();
        let refused = DataDir::open(&path).unwrap_err().to_string();
        let expected = format!(
            "another sluice process (pid {}) uses the data directory {}: stop it, or give this one a directory of its own",
            std::process::id(),
            path.display()
        );
        assert_eq!(refused, expected);
        let held_by_a_file = first.clone();
        drop(first);
        assert!(DataDir::open(&path).is_err(), "a clone still holds it");
        drop(held_by_a_file);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn nobody_else_may_look_in() {
        let home = tempfile::tempdir().unwrap();
        let directory = DataDir::open(home.path().join("data")).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(directory.path()), 0o700);
        let file = directory.private_file("x.db").unwrap();
        assert_eq!(mode(&file), 0o600);
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(mode(&directory.private_file("x.db").unwrap()), 0o600);
    }
}
