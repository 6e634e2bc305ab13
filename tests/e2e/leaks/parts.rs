//! What PostgreSQL and Kafka keep, in the form in which it lies on their disks.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use crate::installation::Home;

/// What they write from now on. Their disks hold gigabytes, of all tests.
pub(super) struct Watched {
    since: SystemTime,
}

impl Watched {
    pub(super) fn begin() -> Self {
        // File systems keep coarser times than clocks.
        Self { since: SystemTime::now() - Duration::from_secs(1) }
    }

    /// That the word is in none of the files of this installation, nor in what is written for all: the write-ahead log and the
    /// servers' own logs. Embedded there are none.
    pub(super) async fn assert_clean(&self, home: &Home, word: &str) {
        let Some(database) = home.database() else { return };
        if let Some(data) = told("SLUICE_TEST_POSTGRES_DATA") {
            let own = data.join("base").join(database.oid().await.to_string());
            self.assert_part_clean("PostgreSQL", home, &[own, data.join("pg_wal")], &data, word);
        }
        if let Some(data) = told("SLUICE_TEST_SPICEDB_POSTGRES_DATA") {
            self.assert_part_clean("SpiceDB's PostgreSQL", home, &[data.join("pg_wal")], &data, word);
        }
        if let Some(data) = told("SLUICE_TEST_KAFKA_DATA") {
            let topic = format!("{}-", home.tenant());
            let own = entries(&data).into_iter().filter(|path| name(path).starts_with(&topic)).collect::<Vec<_>>();
            self.assert_part_clean("Kafka", home, &own, &data, word);
        }
    }

    fn assert_part_clean(&self, part: &str, home: &Home, directories: &[PathBuf], data: &Path, word: &str) {
        let files: Vec<_> = directories.iter().flat_map(|directory| entries(directory)).collect();
        let changed: Vec<_> = files.into_iter().filter(|file| self.is_changed(file)).collect();
        assert!(!holding(home.tenant(), &changed).is_empty(), "{part} has nothing of this installation in {changed:?}");
        let logs = entries(data.parent().expect("it is below a directory of the part"));
        let logs = logs.into_iter().filter(|path| name(path).ends_with(".log"));
        let found = holding(word, &changed.into_iter().chain(logs).collect::<Vec<_>>());
        assert!(found.is_empty(), "{part} keeps the word in the clear: {found}");
    }

    /// One that is gone meanwhile is not.
    fn is_changed(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|file| file.is_file() && file.modified().is_ok_and(|at| at >= self.since))
    }
}

/// Where a part's files are, if they are on this machine.
fn told(variable: &str) -> Option<PathBuf> {
    let directory = env::var_os(variable).filter(|directory| !directory.is_empty()).map(PathBuf::from);
    if directory.is_none() {
        eprintln!("{variable} is not set: those files are not looked at");
    }
    directory
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>().unwrap()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The names of those that hold the word, a line each. By `grep`, for they are large.
fn holding(word: &str, files: &[PathBuf]) -> String {
    let found = Command::new("grep").args(["-l", "-s", "-a", "-F", "-e", word, "--"]).args(files).output().unwrap();
    String::from_utf8(found.stdout).unwrap()
}
