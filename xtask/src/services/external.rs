//! What runs already, by the environment: a person's own Docker, or `cargo xtask services` in another terminal.

use super::env;

/// The parts that run already, and so are neither started nor stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct External {
    pub(crate) postgres: bool,
    pub(crate) kafka: bool,
    pub(crate) spicedb: bool,
}

impl External {
    pub(crate) fn told() -> Result<Self, String> {
        Self::of(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
    }

    fn of(set: impl Fn(&str) -> bool) -> Result<Self, String> {
        let spicedb = [env::SPICEDB, env::SPICEDB_CONTRACT, env::SPICEDB_KEY];
        let (told, missing): (Vec<&str>, Vec<&str>) = spicedb.into_iter().partition(|name| set(name));
        if !told.is_empty() && !missing.is_empty() {
            return Err(format!(
                "{} is set, and {} is not: set all of {} for a SpiceDB that runs, or none of them",
                told.join(" and "),
                missing.join(" and "),
                spicedb.join(", ")
            ));
        }
        Ok(Self { postgres: set(env::POSTGRES_URL), kafka: set(env::KAFKA), spicedb: missing.is_empty() })
    }
}

#[cfg(test)]
mod tests {
    use super::External;

    fn of(names: &[&str]) -> Result<External, String> {
        External::of(|name| names.contains(&name))
    }

    #[test]
    fn nothing_told_is_nothing_external() {
        assert_eq!(of(&[]), Ok(External { postgres: false, kafka: false, spicedb: false }));
    }

    #[test]
    fn each_part_by_its_url() {
        let told = of(&["SLUICE_TEST_POSTGRES_URL"]);
        assert_eq!(told, Ok(External { postgres: true, kafka: false, spicedb: false }));
        let told = of(&[
            "SLUICE_TEST_KAFKA",
            "SLUICE_TEST_SPICEDB",
            "SLUICE_TEST_SPICEDB_CONTRACT",
            "SLUICE_TEST_SPICEDB_KEY",
        ]);
        assert_eq!(told, Ok(External { postgres: false, kafka: true, spicedb: true }));
    }

    #[test]
    fn half_a_spicedb_is_refused() {
        let half = of(&["SLUICE_TEST_SPICEDB", "SLUICE_TEST_SPICEDB_KEY"]).unwrap_err();
        assert!(half.starts_with(
            "SLUICE_TEST_SPICEDB and SLUICE_TEST_SPICEDB_KEY is set, and SLUICE_TEST_SPICEDB_CONTRACT is not"
        ));
    }
}
