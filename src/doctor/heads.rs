//! The signed heads of the audit trail: whether they can be kept, as far as can be seen without writing, and where.

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
};

use sluice_adapters::audit_heads::{KeyError, SigningKey};

use super::Finding;
use crate::config::{Config, StoreKind};

/// Adds nothing, and makes no key.
pub(super) fn examine(config: &Config) -> Finding {
    let (file, key) = (config.heads_file(), config.audit_signing_key_file());
    if let Err(error) = can_be_added_to(&file, &config.data_dir) {
        let file = file.display();
        return Finding::bad(format!("{file} can't be written ({error}): set `audit.heads_file` to one that can"));
    }
    match SigningKey::read(&key) {
        // It is made at the first start.
        Ok(_) | Err(KeyError::NoSigningKey { .. }) => {}
        Err(error) => return Finding::bad(error.to_string()),
    }
    let text = format!("in {}, every {} s", file.display(), config.audit.head_interval_seconds);
    if config.parts.store == StoreKind::Postgres && absolute(&file).starts_with(absolute(&config.data_dir)) {
        let where_to = "set `audit.heads_file` to where who administers the database may not write";
        return Finding::fair(format!("{text}: {where_to}"));
    }
    Finding::well(text)
}

fn can_be_added_to(file: &Path, data_dir: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let named = file.parent().filter(|directory| !directory.as_os_str().is_empty());
            let directory = named.unwrap_or(Path::new("."));
            // The data directory is made at the first start.
            if directory.is_dir() || absolute(directory) == absolute(data_dir) {
                return Ok(());
            }
            Err(io::Error::new(io::ErrorKind::NotFound, format!("{} is no directory", directory.display())))
        }
        opened => opened.map(drop),
    }
}

/// Both may be relative to where this runs.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn config(data_dir: &Path, heads_file: Option<&Path>) -> Config {
        let mut config = Config { data_dir: data_dir.into(), ..Config::default() };
        config.audit.heads_file = heads_file.map(Into::into);
        config
    }

    #[test]
    fn heads_that_can_be_kept_are_well_and_nothing_is_made() {
        let home = tempfile::tempdir().unwrap();
        let apart = home.path().join("heads.jsonl");
        // The last is where this runs.
        for heads_file in [None, Some(&*apart), Some(Path::new("not-there-yet.jsonl"))] {
            let finding = examine(&config(&home.path().join("data"), heads_file));
            assert_eq!(finding, Finding::well(finding.text()), "{finding:?}");
        }
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_path_that_leads_nowhere_and_a_key_that_is_none_are_bad() {
        let home = tempfile::tempdir().unwrap();
        let nowhere = examine(&config(home.path(), Some(&home.path().join("none/heads.jsonl"))));
        assert!(nowhere.text().contains("audit.heads_file"), "{nowhere:?}");
        let directory = examine(&config(home.path(), Some(home.path())));
        assert!(directory.text().contains("can't be written"), "{directory:?}");
        fs::write(home.path().join("audit-signing.pk8"), "no key").unwrap();
        let key = examine(&config(home.path(), None));
        assert!(key.text().contains("chmod 600") || key.text().contains("PKCS #8"), "{key:?}");
    }

    #[test]
    fn beside_the_database_that_they_prove_they_are_only_noted() {
        let home = tempfile::tempdir().unwrap();
        let mut config = config(home.path(), None);
        config.parts.store = StoreKind::Postgres;
        let finding = examine(&config);
        assert_eq!(finding, Finding::fair(finding.text()), "{finding:?}");
    }
}
