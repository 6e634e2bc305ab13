use sluice_adapters::spicedb::SpiceDb;
use sluice_subscriptions::relationships_contract;
use tokio::sync::OnceCell;

use super::options;
use crate::services;

/// The suite's schema is written once for all of its tests.
static WRITTEN: OnceCell<()> = OnceCell::const_new();

async fn open(schema: &str) -> SpiceDb {
    let (endpoint, key) = services::spicedb_contract();
    let spicedb = SpiceDb::connect(&options(&endpoint, &key), schema).await.unwrap();
    WRITTEN
        .get_or_init(|| async {
            spicedb.ensure_schema(true).await.unwrap();
        })
        .await;
    spicedb
}

relationships_contract!(open);
