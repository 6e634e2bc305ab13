//! What the tests are told, by name. Tests read the same names.

/// A superuser's URL.
pub(crate) const POSTGRES_URL: &str = "SLUICE_TEST_POSTGRES_URL";
/// The directory of PostgreSQL's files, where it may be stopped and started.
pub(crate) const POSTGRES_DATA: &str = "SLUICE_TEST_POSTGRES_DATA";
/// The directory of `pg_ctl`.
pub(crate) const POSTGRES_BIN: &str = "SLUICE_TEST_POSTGRES_BIN";
/// The user of this machine that `pg_ctl` has to run as; empty where it is the one who tests.
pub(crate) const POSTGRES_USER: &str = "SLUICE_TEST_POSTGRES_USER";
/// Bootstrap servers.
pub(crate) const KAFKA: &str = "SLUICE_TEST_KAFKA";
/// The directory of its log, where it is on this machine.
pub(crate) const KAFKA_DATA: &str = "SLUICE_TEST_KAFKA_DATA";
/// The broker's process, where it may be paused.
pub(crate) const KAFKA_PID: &str = "SLUICE_TEST_KAFKA_PID";
/// A SpiceDB with the gateway's schema.
pub(crate) const SPICEDB: &str = "SLUICE_TEST_SPICEDB";
/// Its process, where it may be paused.
pub(crate) const SPICEDB_PID: &str = "SLUICE_TEST_SPICEDB_PID";
/// A SpiceDB whose schema tests may write.
pub(crate) const SPICEDB_CONTRACT: &str = "SLUICE_TEST_SPICEDB_CONTRACT";
/// The directory of the files of both SpiceDBs' PostgreSQL, where it may be stopped and started.
pub(crate) const SPICEDB_POSTGRES_DATA: &str = "SLUICE_TEST_SPICEDB_POSTGRES_DATA";
/// A superuser's URL of the database behind [`SPICEDB`], where it is ours.
pub(crate) const SPICEDB_POSTGRES_URL: &str = "SLUICE_TEST_SPICEDB_POSTGRES_URL";
/// The preshared key of both.
pub(crate) const SPICEDB_KEY: &str = "SLUICE_TEST_SPICEDB_KEY";

/// The `spicedb` program, for tests that pause and kill one of their own.
pub(crate) const SPICEDB_PROGRAM: &str = "SLUICE_TEST_SPICEDB_PROGRAM";

/// Names and values for the tests' environment.
#[derive(Debug, Default)]
pub(crate) struct Env(Vec<(&'static str, String)>);

impl Env {
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, value.into()));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Lines for a shell.
    pub(crate) fn exports(&self) -> String {
        self.iter().map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''"))).collect()
    }

    /// Which faults can't be made, by the module of their tests: those of a part whose process is not known, here or (by
    /// `told`) in the environment.
    pub(crate) fn faults_out_of_reach(&self, told: impl Fn(&str) -> bool) -> Vec<&'static str> {
        let faults = [("postgres::", POSTGRES_DATA), ("kafka::", KAFKA_PID), ("spicedb::", SPICEDB_PID)];
        let known = |name: &str| told(name) || self.iter().any(|(set, _)| set == name);
        faults.into_iter().filter(|(_, process)| !known(process)).map(|(module, _)| module).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Env, KAFKA_PID, POSTGRES_DATA, SPICEDB_PID};

    #[test]
    fn a_shell_can_read_it() {
        let mut env = Env::default();
        env.set("SLUICE_TEST_KAFKA", "127.0.0.1:9092");
        env.set("SLUICE_TEST_POSTGRES_DATA", "/tmp/o'neill");
        let lines = "export SLUICE_TEST_KAFKA='127.0.0.1:9092'\nexport SLUICE_TEST_POSTGRES_DATA='/tmp/o'\\''neill'\n";
        assert_eq!(env.exports(), lines);
    }

    #[test]
    fn faults_need_the_process_of_their_part() {
        let mut env = Env::default();
        assert_eq!(env.faults_out_of_reach(|_| false), ["postgres::", "kafka::", "spicedb::"]);
        env.set(KAFKA_PID, "17");
        assert_eq!(env.faults_out_of_reach(|name| name == POSTGRES_DATA), ["spicedb::"]);
        env.set(SPICEDB_PID, "18");
        env.set(POSTGRES_DATA, "/data");
        assert!(env.faults_out_of_reach(|_| false).is_empty());
    }
}
