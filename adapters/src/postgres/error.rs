//! Why PostgreSQL can't be used.

use sqlx::{error::DatabaseError, postgres::PgDatabaseError};

/// Each text says what is wrong, where, and what to do: it is what the process ends with. `at` names host, port and
/// database, never a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "the PostgreSQL URL can't be read: it looks like postgres://user:password@host:5432/database?sslmode=verify-full"
    )]
    Url,
    #[error("PostgreSQL at {at} can't be used: {why}; check that it runs, and the URL's user, password and sslmode")]
    Connect { at: String, why: String },
    #[error("the database {at} has no schema of Sluice yet: run `sluice migrate`")]
    NotMigrated { at: String },
    #[error("the database {at} has schema {found}, this Sluice needs {known}: run `sluice migrate`")]
    Older { at: String, found: i32, known: i32 },
    #[error(
        "the database {at} was migrated by a newer Sluice (schema {found}, this one knows {known}): run that version, or run \
         `sluice migrate` with a database of its own"
    )]
    Newer { at: String, found: i32, known: i32 },
    #[error(
        "the role that Sluice connects with may not read the schema `sluice` of {at}: run `sluice migrate` with this role as \
         the one to grant to"
    )]
    NotGranted { at: String },
    #[error("the role {role} does not exist: make it (CREATE ROLE … LOGIN), then run `sluice migrate` again")]
    NoSuchRole { role: String },
    #[error("{partitions} partitions are not possible: choose 2 to 32768")]
    Partitions { partitions: u16 },
    #[error("the database {at} is damaged: {what}; restore it from a backup")]
    Damaged { at: String, what: String },
}

/// What a driver's error says without any value of a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Failed(pub(super) String);

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self(match &error {
            sqlx::Error::Database(error) => database_error(error.as_ref()),
            sqlx::Error::Io(error) => format!("the connection to PostgreSQL broke ({})", error.kind()),
            sqlx::Error::Tls(_) => "TLS to PostgreSQL was not agreed on".into(),
            sqlx::Error::PoolTimedOut => "no connection to PostgreSQL was to be had in time".into(),
            sqlx::Error::PoolClosed => "the store is closed".into(),
            sqlx::Error::RowNotFound => "PostgreSQL answered without a row".into(),
            sqlx::Error::Protocol(_) => "PostgreSQL and the driver did not understand each other".into(),
            _ => "PostgreSQL's answer can't be read".into(),
        })
    }
}

/// Classes of SQLSTATE whose messages name objects and settings alone (appendix A of PostgreSQL's manual): connections,
/// logins, missing and forbidden objects, resources, operator's intervention.
const HARMLESS_CLASSES: [&str; 10] = ["08", "25", "28", "3D", "3F", "40", "42", "53", "55", "57"];

fn database_error(error: &dyn DatabaseError) -> String {
    let code = error.code().unwrap_or_default();
    if HARMLESS_CLASSES.iter().any(|class| code.starts_with(class)) {
        return format!("PostgreSQL says: {} ({code})", error.message());
    }
    let place = error.constraint().or_else(|| error.table()).unwrap_or("a statement");
    format!("PostgreSQL refused {place} ({code})")
}

/// The SQLSTATE, where the server answered with one.
pub(super) fn sql_state(error: &sqlx::Error) -> Option<&str> {
    let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    Some(error.code())
}
