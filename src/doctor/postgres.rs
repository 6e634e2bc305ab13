//! The database: version, schema, the role's rights, the master key.

use sluice_adapters::{
    kafka::Relay,
    postgres::{MasterKey, Postgres, PostgresKeyring, ServerInfo},
};

use super::{Finding, Report};
use crate::{app, config::Config};

const PART: &str = "PostgreSQL";

/// The oldest that the statements are tested with (`server_version_num`).
const OLDEST: i32 = 150_000;

/// What the topic is compared with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log {
    pub(super) partitions: u16,
    /// Events were copied to a topic.
    pub(super) is_relayed: bool,
}

pub(super) async fn examine(config: &Config, report: &mut Report) -> Option<Log> {
    let db = match Postgres::connect(&app::postgres_options(config)).await {
        Ok(db) => db,
        Err(error) => {
            report.add(PART, Finding::bad(error.to_string()));
            return None;
        }
    };
    let info = db.version().await;
    match &info {
        Ok(info) => server(config, info, report),
        Err(error) => report.add(PART, Finding::bad(error.to_string())),
    }
    report.add(PART, rights(&db).await);
    report.add("Master key", master_key(config, &db).await);
    // A right that is missing for it was told above.
    let is_relayed = db.has_relayed(Relay::CHECKPOINT).await.unwrap_or(false);
    db.close().await;
    info.ok().map(|info| Log { partitions: info.partitions, is_relayed })
}

async fn rights(db: &Postgres) -> Finding {
    match db.missing_rights().await {
        Ok(missing) if missing.is_empty() => Finding::well("the role has all the rights that it needs"),
        Ok(missing) => Finding::bad(format!(
            "the role lacks {}: run `sluice migrate --grant-to` with its name",
            missing.join(", ")
        )),
        Err(error) => Finding::bad(error.to_string()),
    }
}

fn server(config: &Config, info: &ServerInfo, report: &mut Report) {
    let version = &info.server_version;
    report.add(
        PART,
        if info.server_version_num < OLDEST {
            Finding::bad(format!("version {version} is too old: Sluice needs 15 or newer"))
        } else {
            Finding::well(format!("version {version}, schema {}, as {}", info.schema_version, info.role))
        },
    );
    if info.may_rewrite_audit {
        let text =
            "the role may change or delete audit records: connect as one that `sluice migrate --grant-to` was given";
        report.add("Audit trail", Finding::fair(text));
    } else {
        report.add("Audit trail", Finding::well("append-only for this role"));
    }
    let wanted = i64::from(config.postgres.max_connections) + OWN_CONNECTIONS;
    if i64::from(info.max_connections) < wanted {
        let text = format!(
            "the server takes {} connections, this process alone may open {wanted}: raise its max_connections, or lower `postgres.max_connections`",
            info.max_connections
        );
        report.add(PART, Finding::fair(text));
    }
}

/// Beside the pool: the writers of store and audit trail, those that listen, the leases.
const OWN_CONNECTIONS: i64 = 8;

async fn master_key(config: &Config, db: &Postgres) -> Finding {
    let Some(path) = &config.postgres.master_key_file else {
        return Finding::bad("`postgres.master_key_file` is not set: make one with `sluice master-key`");
    };
    let master = match MasterKey::from_file(path) {
        Ok(master) => master,
        Err(error) => return Finding::bad(error.to_string()),
    };
    match PostgresKeyring::knows(db, &master).await {
        Ok(Some(true)) => Finding::well(format!("{} is this database's", path.display())),
        Ok(None) => Finding::well(format!("{} will become this database's at the first start", path.display())),
        Ok(Some(false)) => {
            Finding::bad(format!("{} is another database's master key: find the right one", path.display()))
        }
        Err(error) => Finding::bad(error.to_string()),
    }
}
