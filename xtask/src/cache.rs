//! What is had from elsewhere, kept under `target/services`: there whole, or not there.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Instant,
};

use crate::command::target;

/// A part in one version, in a directory of its own.
pub(crate) struct Cached<'a> {
    /// As a person calls it: `SpiceDB 1.56.2`.
    pub(crate) title: &'a str,
    /// The directory's name: `spicedb-1.56.2`.
    pub(crate) name: &'a str,
    /// The file that tells that all is there, below it.
    pub(crate) witness: &'a str,
    /// How it is had, and how long that takes.
    pub(crate) how: &'a str,
}

impl Cached<'_> {
    /// The part's directory. Where it is not there, `get` fills a sibling of it, which then takes its name: what was
    /// interrupted is never taken for the whole. Two that want the same part at the same time take turns.
    pub(crate) fn get(&self, get: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
        self.get_in(&target().join("services"), get)
    }

    fn get_in(&self, cache: &Path, get: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
        let dir = cache.join(self.name);
        let _turn = self.lock(cache).map_err(|error| format!("{} cannot be locked: {error}", cache.display()))?;
        if dir.join(self.witness).exists() {
            return Ok(dir);
        }
        println!("{}: {}", self.title, self.how);
        let begun = Instant::now();
        let partial = cache.join(format!("{}.partial", self.name));
        empty(&partial)?;
        if let Err(why) = get(&partial) {
            let _ = fs::remove_dir_all(&partial);
            return Err(format!("{} could not be had: {why}", self.title));
        }
        self.keep(&partial, &dir)?;
        println!("{}: there after {} s", self.title, begun.elapsed().as_secs());
        Ok(dir)
    }

    fn lock(&self, cache: &Path) -> std::io::Result<File> {
        fs::create_dir_all(cache)?;
        let file = File::create(cache.join(format!("{}.lock", self.name)))?;
        file.lock()?;
        Ok(file)
    }

    fn keep(&self, partial: &Path, dir: &Path) -> Result<(), String> {
        if !partial.join(self.witness).exists() {
            return Err(format!("{} could not be had: {} is missing", self.title, self.witness));
        }
        // An older one without the witness.
        let _ = fs::remove_dir_all(dir);
        fs::rename(partial, dir).map_err(|error| format!("{} cannot be made: {error}", dir.display()))
    }
}

fn empty(dir: &Path) -> Result<(), String> {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).map_err(|error| format!("{} cannot be made: {error}", dir.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Cached;

    const PART: Cached<'_> = Cached { title: "A part", name: "part-1", witness: "bin/part", how: "made here" };

    #[test]
    fn had_once_and_then_kept() {
        let cache = tempfile::tempdir().unwrap();
        let dir = PART.get_in(cache.path(), |dir| {
            fs::create_dir(dir.join("bin")).unwrap();
            fs::write(dir.join("bin/part"), "whole").unwrap();
            Ok(())
        });
        let dir = dir.unwrap();
        assert_eq!(dir, cache.path().join("part-1"));
        let again = PART.get_in(cache.path(), |_| panic!("it is there"));
        assert_eq!(fs::read_to_string(again.unwrap().join("bin/part")).unwrap(), "whole");
    }

    #[test]
    fn a_part_that_broke_off_is_not_there() {
        let cache = tempfile::tempdir().unwrap();
        let broken = PART.get_in(cache.path(), |dir| {
            fs::write(dir.join("half"), "").unwrap();
            Err("the line was cut".to_owned())
        });
        assert_eq!(broken.unwrap_err(), "A part could not be had: the line was cut");
        assert!(!cache.path().join("part-1").exists());
        assert!(!cache.path().join("part-1.partial").exists());
    }

    #[test]
    fn left_over_by_a_kill_it_is_had_anew() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir(cache.path().join("part-1.partial")).unwrap();
        fs::write(cache.path().join("part-1.partial/old"), "").unwrap();
        let dir = PART.get_in(cache.path(), |dir| {
            assert!(!dir.join("old").exists());
            fs::create_dir(dir.join("bin")).unwrap();
            fs::write(dir.join("bin/part"), "").unwrap();
            Ok(())
        });
        assert!(dir.unwrap().join("bin/part").exists());
    }

    #[test]
    fn without_its_witness_it_is_refused() {
        let cache = tempfile::tempdir().unwrap();
        let empty = PART.get_in(cache.path(), |_| Ok(()));
        assert_eq!(empty.unwrap_err(), "A part could not be had: bin/part is missing");
        assert!(!cache.path().join("part-1").exists());
    }
}
