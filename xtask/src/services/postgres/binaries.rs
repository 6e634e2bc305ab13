//! PostgreSQL's programs: of PATH, else of where Debian puts them, else by apt.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::apt;

const LEAST_VERSION: u32 = 14;
const PROGRAMS: [&str; 4] = ["initdb", "postgres", "pg_ctl", "createdb"];

/// A directory with the server's programs, of a version that will do.
#[derive(Debug, Clone)]
pub(crate) struct Binaries(PathBuf);

impl Binaries {
    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }
}

/// Finds them, or installs them where that can be done without asking.
pub(crate) fn get() -> Result<Binaries, String> {
    let missing = match find() {
        Ok(found) => return Ok(found),
        Err(missing) => missing,
    };
    // Debian also starts a server of its own then; ours has another port and another directory.
    match apt::install("postgresql") {
        None => Err(missing),
        Some(installed) => installed.and_then(|()| find()).map_err(|why| format!("PostgreSQL could not be had: {why}")),
    }
}

fn find() -> Result<Binaries, String> {
    let on_path = env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    choose([on_path, debian()].concat().into_iter().filter_map(|dir| whole(&dir)).map(|dir| (version(&dir), dir)))
}

/// The first of a version that will do.
fn choose(found: impl Iterator<Item = (Option<u32>, PathBuf)>) -> Result<Binaries, String> {
    let mut old = None;
    for (version, dir) in found {
        match version {
            Some(version) if version >= LEAST_VERSION => return Ok(Binaries(dir)),
            Some(version) => old = old.or(Some(version)),
            None => {}
        }
    }
    let there = old.map_or_else(|| "was not found".to_owned(), |old| format!("is too old here ({old})"));
    Err(format!(
        "PostgreSQL {there}: install its server, version {LEAST_VERSION} or later, with initdb on PATH, \
         or set SLUICE_TEST_POSTGRES_URL to one that runs"
    ))
}

/// Debian keeps them off PATH, a directory for each version; the newest first.
fn debian() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut dirs: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    dirs.sort_by(|a, b| b.cmp(a));
    dirs.into_iter().map(|(_, dir)| dir).collect()
}

/// A link on PATH leads to where all of them are.
fn whole(dir: &Path) -> Option<PathBuf> {
    let dir = fs::canonicalize(dir.join("initdb")).ok()?.parent()?.to_owned();
    PROGRAMS.iter().all(|program| dir.join(program).exists()).then_some(dir)
}

fn version(dir: &Path) -> Option<u32> {
    parse_version(&run_silently(&dir.join("postgres").to_string_lossy(), &["--version"])?)
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, or `16beta1`.
fn parse_version(said: &str) -> Option<u32> {
    let number = said.split_once("(PostgreSQL) ")?.1;
    let digits = number.find(|c: char| !c.is_ascii_digit()).map_or(number, |end| &number[..end]);
    digits.parse().ok()
}

fn run_silently(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{choose, parse_version};

    #[test]
    fn versions() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 19beta2"), Some(19));
        assert_eq!(parse_version("postgres (PostgreSQL) 18"), Some(18));
        assert_eq!(parse_version("postgres: command not found"), None);
    }

    #[test]
    fn an_old_one_on_path_does_not_hide_a_newer() {
        let found =
            [(Some(9), PathBuf::from("/old")), (None, PathBuf::from("/odd")), (Some(16), PathBuf::from("/new"))];
        assert_eq!(choose(found.into_iter()).unwrap().dir(), Path::new("/new"));
    }

    #[test]
    fn says_what_to_install() {
        let none = choose(std::iter::empty()).unwrap_err();
        assert!(none.starts_with("PostgreSQL was not found: install its server, version 14 or later"), "{none}");
        let old = choose([(Some(13), PathBuf::from("/old"))].into_iter()).unwrap_err();
        assert!(old.starts_with("PostgreSQL is too old here (13)"), "{old}");
    }
}
