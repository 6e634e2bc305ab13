//! Relationships, read and changed past the gateways.

use std::time::Duration;

use sluice_adapters::spicedb::{SpiceDb, SpiceDbOptions};
use sluice_subscriptions::relationships::SCHEMA;

use super::required;

/// Another client of the SpiceDB that the gateways ask.
pub(crate) async fn another_client() -> SpiceDb {
    let options = SpiceDbOptions {
        endpoint: required("SLUICE_TEST_SPICEDB"),
        preshared_key: required("SLUICE_TEST_SPICEDB_KEY"),
        ca_file: None,
        deadline: Duration::from_secs(5),
        max_in_flight: 1,
        max_staleness: Duration::ZERO,
    };
    SpiceDb::connect(&options, SCHEMA).await.unwrap()
}
