//! The file of heads: one line each, only ever added to.
//!
//! It is opened by its name for each line and locked meanwhile, so that the processes of one host may share it, and so that
//! it may be moved away while they run: then the next line begins another.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{
    key::SigningKey,
    line::{Head, MAX_LINE, Place, Statement},
};
use crate::private_file::sync_directory;

/// Whoever verifies need not be who writes: it holds nothing that is secret. Nobody but the owner adds to it.
const MODE: u32 = 0o644;

/// Why a head could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum HeadsFileError {
    #[error("the file of audit heads {} can't be written: {source}; check the path, the disk and who owns the file", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "the file of audit heads {} does not end with a head: move it away, and keep it for whoever finds out who wrote to it",
        path.display()
    )]
    Damaged { path: PathBuf },
}

/// Adds a head, and answers when it is durable: how many lines there are then.
pub(super) fn append(path: &Path, statement: &Statement, key: &SigningKey) -> Result<u64, HeadsFileError> {
    let failed = |source| HeadsFileError::Io { path: path.into(), source };
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path).map_err(failed)?;
    // Given back when the file is closed.
    file.lock().map_err(failed)?;
    let place = end(&mut file).map_err(failed)?.ok_or_else(|| HeadsFileError::Damaged { path: path.into() })?;
    let mut line = Head::write(statement, place, key).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    let length = file.metadata().map_err(failed)?.len();
    let written = file.write_all(&line).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // A full disk takes half a line. Nobody was told of it; where it stays, the next one cuts it off.
        let _ = file.set_len(length);
        failed(error)
    })?;
    if place.seq == 0 {
        sync_directory(path).map_err(failed)?;
    }
    Ok(place.seq + 1)
}

/// Where the file ends; `None` where that is no head. Half a head, which a crash has left, is cut off: nobody was told of it.
fn end(file: &mut File) -> io::Result<Option<Place>> {
    let length = file.metadata()?.len();
    // The last line, and half a line behind it.
    let start = length.saturating_sub(2 * MAX_LINE as u64);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let (lines, half) = tail.split_at(whole);
    let place = match lines.split_last() {
        None if start == 0 => Some(Place::beginning()),
        None => None,
        Some((_newline, lines)) => {
            let line = lines.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
            Head::parse(line).map(|(head, ..)| Place::behind(head.seq, line))
        }
    };
    let Some(place) = place.filter(|_| half.is_empty() || Head::may_begin(half)) else { return Ok(None) };
    if !half.is_empty() {
        file.set_len(start + whole as u64)?;
    }
    Ok(Some(place))
}
