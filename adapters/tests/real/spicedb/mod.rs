//! SpiceDB: the port's contract, the same answers as the embedded evaluator, the schema, faults.

mod contract;
mod differential;
mod expiry;
mod faults;
mod latency;
mod own_server;
mod schema;
mod watch;

use std::time::Duration;

use sluice_adapters::spicedb::{SpiceDb, SpiceDbOptions};
use sluice_subscriptions::relationships::SCHEMA;

use crate::services;

fn options(endpoint: &str, key: &str) -> SpiceDbOptions {
    SpiceDbOptions {
        endpoint: endpoint.to_owned(),
        preshared_key: key.to_owned(),
        ca_file: None,
        deadline: Duration::from_secs(20),
        max_in_flight: 4,
        max_staleness: Duration::ZERO,
    }
}

/// On the server that holds `sluice.zed`.
async fn connect() -> SpiceDb {
    connect_with(|options| options).await
}

/// The same, so that decisions may be kept.
async fn connect_following() -> SpiceDb {
    connect_with(|options| SpiceDbOptions { max_staleness: Duration::from_secs(2), ..options }).await
}

async fn connect_with(change: impl FnOnce(SpiceDbOptions) -> SpiceDbOptions) -> SpiceDb {
    let (endpoint, key) = services::spicedb();
    let spicedb = SpiceDb::connect(&change(options(&endpoint, &key)), SCHEMA).await.unwrap();
    spicedb.ensure_schema(true).await.unwrap();
    spicedb
}
