//! What the disk takes for one commit, with nothing else in the way: the floor under all figures here.

use std::{fs::File, io::Write, path::Path, time::Instant};

use crate::figures::Latencies;

const SYNCS: usize = 200;

/// Appends a page at a time, as a write-ahead log does, and waits for the disk each time (fdatasync).
pub(crate) fn sync_times(directory: &Path) -> Result<Latencies, String> {
    let path = directory.join("sync-probe");
    let measure = || {
        let mut file = File::create(&path)?;
        let mut times = Latencies::default();
        for _ in 0..SYNCS {
            let begun = Instant::now();
            file.write_all(&[7; 4096])?;
            file.sync_data()?;
            times.record(begun.elapsed());
        }
        std::fs::remove_file(&path)?;
        Ok(times)
    };
    measure().map_err(|error: std::io::Error| format!("{}: {error}", path.display()))
}
