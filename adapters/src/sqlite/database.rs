//! One SQLite file: how it is opened, and how its schema gets to the newest.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::OpenError;

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A file and the steps of its schema; the number of a step is its place in the list, from 1.
#[derive(Clone, Copy)]
pub(super) struct Schema {
    pub(super) file: &'static str,
    pub(super) migrations: &'static [&'static str],
}

/// Durable at COMMIT: in WAL mode that takes `synchronous=FULL`. Checkpoints are made by hand, off the commit path.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("wal_autocheckpoint", "0")
}

/// The connection that writes, after the schema is brought up to date.
pub(super) async fn open(path: &Path, schema: Schema) -> Result<SqliteConnection, OpenError> {
    let database_error = |source| OpenError::Database { path: path.to_owned(), source };
    let mut db = options(path).connect().await.map_err(database_error)?;
    let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut db).await.map_err(database_error)?;
    check_version(path, schema, found)?;
    migrate(&mut db, schema, found).await.map_err(database_error)?;
    Ok(db)
}

/// Connections that only read.
pub(super) async fn readers(path: &Path, connections: u32) -> Result<SqlitePool, OpenError> {
    let options = options(path).create_if_missing(false).pragma("query_only", "1");
    let pool = SqlitePoolOptions::new().max_connections(connections).min_connections(1).test_before_acquire(false);
    pool.connect_with(options).await.map_err(|source| OpenError::Database { path: path.to_owned(), source })
}

/// A schema newer than this program's is never touched.
pub(super) fn check_version(path: &Path, schema: Schema, found: i64) -> Result<(), OpenError> {
    let known = schema.migrations.len() as i64;
    if found <= known {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(path).to_owned();
    Err(OpenError::Newer { directory, file: schema.file.to_owned(), found, known })
}

/// Each step with its number in one transaction.
async fn migrate(db: &mut SqliteConnection, schema: Schema, found: i64) -> Result<(), sqlx::Error> {
    for (version, step) in (1..).zip(schema.migrations).skip_while(|(version, _)| *version <= found) {
        let mut transaction = db.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(*step).execute(&mut *transaction).await?;
        // The text is made of a number of ours: a pragma takes no parameters.
        let mark = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {version}"));
        sqlx::raw_sql(mark).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}
