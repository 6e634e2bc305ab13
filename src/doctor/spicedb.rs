//! SpiceDB: version and authorization schema.

use sluice_adapters::spicedb::{SchemaState, SpiceDb};
use sluice_subscriptions::relationships::SCHEMA;

use super::{Finding, Report};
use crate::{app, config::Config};

const PART: &str = "SpiceDB";

pub(super) async fn examine(config: &Config, report: &mut Report) {
    let spicedb = match SpiceDb::connect(&app::spicedb_options(config), SCHEMA).await {
        Ok(spicedb) => spicedb,
        Err(error) => return report.add(PART, Finding::bad(error.to_string())),
    };
    match spicedb.version().await {
        Ok(version) if version.may_keep_expired_grants() => {
            let text = format!(
                "version {version}: before 1.57.1 its caches can keep expired grants; upgrade, or switch them off (--dispatch-cache-enabled=false --dispatch-cluster-cache-enabled=false)"
            );
            report.add(PART, Finding::fair(text));
        }
        Ok(version) => report.add(PART, Finding::well(format!("version {version}"))),
        Err(error) => report.add(PART, Finding::bad(error.to_string())),
    }
    report.add("Schema", schema(config, &spicedb).await);
}

async fn schema(config: &Config, spicedb: &SpiceDb) -> Finding {
    match spicedb.planned_schema(config.spicedb.write_schema).await {
        Ok(SchemaState::Same) => Finding::well("the authorization schema is this version's"),
        Ok(SchemaState::Created) => Finding::well("the next start will write the authorization schema"),
        Ok(SchemaState::Changed(names)) => Finding::well(format!(
            "the next start will bring the authorization schema up to date ({})",
            names.join(", ")
        )),
        Err(error) => Finding::bad(error.to_string()),
    }
}
