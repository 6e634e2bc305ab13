//! Why a data directory can't be opened.

use std::{io, path::PathBuf};

/// Each text says what is wrong, where, and what to do: it is what the process ends with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "another sluice process ({holder}) uses the data directory {}: stop it, or give this one a directory of its own",
        path.display()
    )]
    InUse { path: PathBuf, holder: String },
    #[error(
        "the data directory {} was written by a newer Sluice ({file} has schema {found}, this one knows {known}): run that \
         version, or give this one another directory",
        directory.display()
    )]
    Newer { directory: PathBuf, file: String, found: i64, known: i64 },
    #[error("{} can't be used: {source}; check the disk and who owns the file", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} can't be opened: {source}", path.display())]
    Database { path: PathBuf, source: sqlx::Error },
    #[error("{} is damaged: {what}; restore it from a backup", path.display())]
    Damaged { path: PathBuf, what: String },
}
