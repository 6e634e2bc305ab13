//! Where the real parts are: told by the environment.

use std::env;

/// A superuser's URL of a PostgreSQL server; tests make databases of their own in it.
pub(crate) fn postgres() -> String {
    required("SLUICE_TEST_POSTGRES_URL")
}

/// Kafka's bootstrap servers.
pub(crate) fn kafka() -> String {
    required("SLUICE_TEST_KAFKA")
}

/// A SpiceDB whose schema tests may write as they like, and its preshared key.
pub(crate) fn spicedb_contract() -> (String, String) {
    (required("SLUICE_TEST_SPICEDB_CONTRACT"), required("SLUICE_TEST_SPICEDB_KEY"))
}

/// A SpiceDB that holds `sluice.zed`, and its preshared key.
pub(crate) fn spicedb() -> (String, String) {
    (required("SLUICE_TEST_SPICEDB"), required("SLUICE_TEST_SPICEDB_KEY"))
}

/// The `spicedb` program, for tests that stop and kill one of their own.
pub(crate) fn spicedb_program() -> String {
    let name = "SLUICE_TEST_SPICEDB_PROGRAM";
    env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: name the `spicedb` program there, or let `cargo xtask test` start a SpiceDB, which does so")
    })
}

fn required(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run these tests with `cargo xtask test`"))
}
