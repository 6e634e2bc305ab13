//! How a database gets the newest schema.
//!
//! A short list of our own, as for the SQLite files, rather than sqlx's migrator: all steps, the log's row and the grants
//! are one transaction, the version is a row that the gateway's role can read, and nothing lies outside the schema `sluice`.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use super::{
    OpenError,
    database::{parse, place},
    error::Failed,
};
use crate::placement::{Drawn, MAX_PARTITIONS};

/// The steps; the number of a step is its place in the list, from 1.
const STEPS: &[&str] = &[
    include_str!("migrations/0001_store.sql"),
    include_str!("migrations/0002_audit.sql"),
    include_str!("migrations/0003_keys.sql"),
    include_str!("migrations/0004_subscribers.sql"),
    include_str!("migrations/0005_audiences.sql"),
    include_str!("migrations/0006_revocations.sql"),
];

/// What the running gateway may do: no more than this, and nothing on the schema itself.
const GRANTS: &[(&str, &str)] = &[
    ("SELECT", "schema_version"),
    ("SELECT, UPDATE (epoch)", "log"),
    ("SELECT, UPDATE (seq, published_at)", "heads"),
    ("SELECT, INSERT", "events"),
    ("SELECT, INSERT, UPDATE", "current_states"),
    ("SELECT, INSERT", "idempotency"),
    ("SELECT, INSERT, UPDATE", "checkpoints"),
    ("SELECT, INSERT", "audit_records"),
    ("SELECT, INSERT", "audit_recipients"),
    ("SELECT, INSERT", "audit_patients"),
    ("SELECT, INSERT", "audit_audiences"),
    ("SELECT, INSERT", "audit_audience_users"),
    ("SELECT, INSERT", "audit_audience_records"),
    ("SELECT, INSERT", "master_key"),
    ("SELECT, INSERT", "tenant_secrets"),
    ("SELECT, INSERT, DELETE", "data_keys"),
    ("SELECT, INSERT, UPDATE, DELETE", "subscribers"),
    ("SELECT, INSERT, DELETE", "revocations"),
];

/// Each table with each right that a gateway needs on it, columns aside.
pub(super) fn needed_rights() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rights = |rights: &'static str| rights.split(", ").filter_map(|right| right.split(' ').next());
    GRANTS.iter().flat_map(move |(granted, table)| {
        let known = |right: &&str| matches!(*right, "SELECT" | "INSERT" | "UPDATE" | "DELETE");
        rights(granted).filter(known).map(move |right| (*table, right))
    })
}

/// The schema that this program knows.
pub(super) const VERSION: i32 = STEPS.len() as i32;

/// Of the advisory lock that one migration at a time holds: its name.
const LOCK: i64 = i64::from_be_bytes(*b"\0\0sluice");

const CONNECT: Duration = Duration::from_secs(15);

/// What to bring up to date.
#[derive(Clone, Copy)]
pub struct Migrate<'a> {
    /// Of a role that may create a schema in the database, and owns it later.
    pub url: &'a str,
    /// Of a new store; an existing one keeps its own.
    pub partitions: u16,
    /// An existing role that the gateway runs as; it gets exactly what the gateway needs.
    pub grant_to: Option<&'a str>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The steps that were missing.
    pub applied: Vec<i32>,
    pub version: i32,
}

/// Brings a database up to date, all or nothing. What is there already stays; two at once run one after the other.
pub async fn migrate(options: Migrate<'_>) -> Result<Migrated, OpenError> {
    if !(2..=MAX_PARTITIONS).contains(&options.partitions) {
        return Err(OpenError::Partitions { partitions: options.partitions });
    }
    let connect = parse(options.url)?.application_name("sluice migrate");
    let at = place(&connect);
    let failed = |why: Failed| OpenError::Connect { at: at.clone(), why: why.0 };
    let connected = timeout(CONNECT, PgConnection::connect_with(&connect)).await;
    let mut db = match connected {
        Ok(connected) => connected.map_err(|error| failed(error.into()))?,
        Err(_) => return Err(failed(Failed("it did not answer in time".into()))),
    };
    let migrated = run(&mut db, options, &at).await;
    // What was committed stays, however the connection ends.
    let _ = db.close().await;
    migrated
}

async fn run(db: &mut PgConnection, options: Migrate<'_>, at: &str) -> Result<Migrated, OpenError> {
    let failed = |error: sqlx::Error| OpenError::Connect { at: at.to_owned(), why: Failed::from(error).0 };
    let mut transaction = db.begin().await.map_err(failed)?;
    let found = begin(&mut transaction).await.map_err(failed)?;
    if found > VERSION {
        return Err(OpenError::Newer { at: at.to_owned(), found, known: VERSION });
    }
    let applied = apply(&mut transaction, found).await.map_err(failed)?;
    let drawn = Drawn::draw()
        .ok_or_else(|| OpenError::Damaged { at: at.to_owned(), what: "the system gives no random numbers".into() })?;
    make_log(&mut transaction, &drawn, options.partitions).await.map_err(failed)?;
    if let Some(role) = options.grant_to {
        if !role_exists(&mut transaction, role).await.map_err(failed)? {
            return Err(OpenError::NoSuchRole { role: role.to_owned() });
        }
        grant(&mut transaction, role).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(Migrated { applied, version: VERSION })
}

/// Waits for another migration to end, and gives the version that is there: 0 for none.
async fn begin(db: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *db).await?;
    sqlx::raw_sql(
        "SET LOCAL client_min_messages = warning;
         CREATE SCHEMA IF NOT EXISTS sluice;
         CREATE TABLE IF NOT EXISTS sluice.schema_version (
             version    integer     PRIMARY KEY,
             applied_at timestamptz NOT NULL DEFAULT now()
         );",
    )
    .execute(&mut *db)
    .await?;
    sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM sluice.schema_version").fetch_one(db).await
}

async fn apply(db: &mut PgConnection, found: i32) -> Result<Vec<i32>, sqlx::Error> {
    let mut applied = Vec::new();
    for (version, step) in (1..).zip(STEPS).skip_while(|(version, _)| *version <= found) {
        sqlx::raw_sql(*step).execute(&mut *db).await?;
        sqlx::query("INSERT INTO sluice.schema_version (version) VALUES ($1)").bind(version).execute(&mut *db).await?;
        applied.push(version);
    }
    Ok(applied)
}

/// The log's row and its partitions, where there are none yet.
async fn make_log(db: &mut PgConnection, drawn: &Drawn, partitions: u16) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO sluice.log (epoch, secret, partitions) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(drawn.epoch.as_slice())
        .bind(drawn.secret.as_slice())
        .bind(i32::from(partitions))
        .execute(&mut *db)
        .await?;
    sqlx::query(
        "INSERT INTO sluice.heads (partition) SELECT generate_series(0, partitions - 1) FROM sluice.log
         ON CONFLICT DO NOTHING",
    )
    .execute(db)
    .await
    .map(drop)
}

async fn role_exists(db: &mut PgConnection, role: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)").bind(role).fetch_one(db).await
}

/// Takes back what the role had here, so that what it has is what is listed.
async fn grant(db: &mut PgConnection, role: &str) -> Result<(), sqlx::Error> {
    let role = quoted(role);
    let mut statements = format!(
        "REVOKE ALL ON ALL TABLES IN SCHEMA sluice FROM {role}; REVOKE ALL ON SCHEMA sluice FROM {role};
         GRANT USAGE ON SCHEMA sluice TO {role};"
    );
    for (rights, table) in GRANTS {
        statements.push_str(&format!("GRANT {rights} ON sluice.{table} TO {role};"));
    }
    // Rights and tables are ours and the role is quoted: GRANT takes no parameters.
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(db).await.map(drop)
}

/// An identifier as SQL writes it.
fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Whether this program can use a database of schema `found`.
pub(super) fn check_version(at: String, found: Option<i32>) -> Result<(), OpenError> {
    match found {
        None => Err(OpenError::NotMigrated { at }),
        Some(found) if found < VERSION => Err(OpenError::Older { at, found, known: VERSION }),
        Some(found) if found > VERSION => Err(OpenError::Newer { at, found, known: VERSION }),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_of_any_name_is_one_identifier() {
        assert_eq!(quoted("gateway"), r#""gateway""#);
        assert_eq!(quoted(r#"a"; DROP"#), r#""a""; DROP""#);
    }

    #[test]
    fn only_this_programs_schema_is_used() {
        let at = || "db:5432/sluice".to_owned();
        assert!(check_version(at(), Some(VERSION)).is_ok());
        assert!(matches!(check_version(at(), None), Err(OpenError::NotMigrated { .. })));
        assert!(matches!(check_version(at(), Some(VERSION - 1)), Err(OpenError::Older { .. })));
        assert!(matches!(check_version(at(), Some(VERSION + 1)), Err(OpenError::Newer { .. })));
    }
}
