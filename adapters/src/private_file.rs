//! Files that hold a key: readable by their owner only.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

const OWNER_ONLY: u32 = 0o600;

/// Why such a file can't be read.
pub(crate) enum Unreadable {
    Io(io::Error),
    /// Others may read it, too.
    Exposed,
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Unreadable> {
    let mode = fs::metadata(path).map_err(Unreadable::Io)?.mode();
    if mode & 0o077 != 0 {
        return Err(Unreadable::Exposed);
    }
    fs::read(path).map_err(Unreadable::Io)
}

/// Writes a new file. A crash leaves no half one behind, and of two that do it at once one wins.
///
/// # Errors
/// `AlreadyExists`, among others.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = write_aside(path, bytes)?;
    let linked = fs::hard_link(&aside, path);
    let removed = fs::remove_file(&aside);
    linked.and(removed).and_then(|()| sync_directory(path))
}

/// Writes a file anew: whoever reads it meanwhile has the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = write_aside(path, bytes)?;
    fs::rename(aside, path).and_then(|()| sync_directory(path))
}

fn write_aside(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".new-{}", std::process::id()));
    let aside = PathBuf::from(aside);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(OWNER_ONLY).open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(aside)
}

/// So that the name is as durable as what it names.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
