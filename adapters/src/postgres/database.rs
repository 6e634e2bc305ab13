//! The connection: a pool whose schema was checked.

use std::{fmt, future::Future, io::ErrorKind, str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::time::timeout;

use super::{
    OpenError,
    error::{Failed, sql_state},
    migrate,
};

/// A pooled connection that lay unused for longer is asked whether it still lives.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// `undefined_table`, `invalid_schema_name` and `insufficient_privilege` (appendix A of PostgreSQL's manual).
const UNDEFINED_TABLE: &str = "42P01";
const NO_SUCH_SCHEMA: &str = "3F000";
const NOT_GRANTED: &str = "42501";

/// How to reach a database.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:5432/database?sslmode=verify-full`; `sslmode` is libpq's.
    pub url: String,
    /// Of the pool that reads. A store, its followers and each lease have a connection of their own beside it.
    pub max_connections: u32,
    /// For each step: to connect, to get a connection from the pool, to run a statement, to append.
    pub deadline: Duration,
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("at", &parse(&self.url).as_ref().map(place).unwrap_or_default())
            .field("max_connections", &self.max_connections)
            .field("deadline", &self.deadline)
            .finish()
    }
}

/// A database whose schema is this program's. Cheap to clone.
#[derive(Clone)]
pub struct Postgres {
    inner: Arc<Inner>,
}

struct Inner {
    pool: PgPool,
    options: PgConnectOptions,
    deadline: Duration,
    at: String,
}

/// What `sluice doctor` tells of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// E.g. `15.18`.
    pub server_version: String,
    /// As `server_version`, as a number: 150018.
    pub server_version_num: i32,
    pub schema_version: i32,
    /// Of the log.
    pub partitions: u16,
    pub role: String,
    /// SpiceDB's Watch needs it on in its own database.
    pub track_commit_timestamp: bool,
    /// Whether the role may change or delete audit records; it should not.
    pub may_rewrite_audit: bool,
    /// Of the server, for all its clients.
    pub max_connections: i32,
}

impl Postgres {
    /// How much longer than the server's own limits we wait for its answer.
    pub(super) const GRACE: Duration = Duration::from_millis(500);

    /// Connects, and refuses a database whose schema is not this program's.
    pub async fn connect(options: &PostgresOptions) -> Result<Self, OpenError> {
        let connect = session(parse(&options.url)?, options.deadline);
        let at = place(&connect);
        let pool = pool(connect.clone(), options.max_connections.max(1), options.deadline);
        let this = Self { inner: Arc::new(Inner { pool, options: connect, deadline: options.deadline, at }) };
        this.check_schema().await?;
        Ok(this)
    }

    /// Ends the pool's connections after what they do now.
    pub async fn close(&self) {
        self.inner.pool.close().await;
    }

    /// Asks the server about itself.
    pub async fn version(&self) -> Result<ServerInfo, OpenError> {
        let query = sqlx::query_as::<_, (String, String, String, String, bool, String, i32, i32)>(
            "SELECT current_setting('server_version'), current_setting('server_version_num'), current_user::text,
                    current_setting('track_commit_timestamp'),
                    coalesce((SELECT bool_or(has_table_privilege(to_regclass('sluice.' || name), privilege))
                              FROM unnest(ARRAY['audit_records', 'audit_audiences']) AS truth (name),
                                   unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS rewriting (privilege)), false),
                    current_setting('max_connections'), (SELECT max(version) FROM sluice.schema_version),
                    (SELECT partitions FROM sluice.log)",
        );
        let row = self.within(query.fetch_one(self.pool())).await.map_err(|why| self.failed(why))?;
        let number = |text: &str| text.parse().unwrap_or_default();
        let (
            server_version,
            num,
            role,
            track_commit_timestamp,
            may_rewrite_audit,
            max_connections,
            schema_version,
            partitions,
        ) = row;
        Ok(ServerInfo {
            server_version: server_version.split(' ').next().unwrap_or_default().into(),
            server_version_num: number(&num),
            schema_version,
            partitions: partitions.try_into().unwrap_or_default(),
            role,
            track_commit_timestamp: track_commit_timestamp == "on",
            may_rewrite_audit,
            max_connections: number(&max_connections),
        })
    }

    /// Whether events of the log as it is now were copied to a topic, by the worker of this name.
    pub async fn has_relayed(&self, worker: &str) -> Result<bool, OpenError> {
        let query = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM sluice.checkpoints JOIN sluice.log USING (epoch) WHERE worker = $1 AND 0 < ANY (vector))",
        );
        let found = query.bind(worker).fetch_one(self.pool());
        self.within(found).await.map_err(|why| self.failed(why))
    }

    /// What the role may not do, and a gateway must: `INSERT on events`.
    pub async fn missing_rights(&self) -> Result<Vec<String>, OpenError> {
        let (tables, rights): (Vec<&str>, Vec<&str>) = migrate::needed_rights().unzip();
        let query = sqlx::query_scalar(
            "SELECT privilege || ' on ' || name FROM unnest($1::text[], $2::text[]) AS needed (name, privilege)
             WHERE NOT coalesce(CASE privilege
                 WHEN 'DELETE' THEN has_table_privilege(to_regclass('sluice.' || name), privilege)
                 ELSE has_any_column_privilege(to_regclass('sluice.' || name), privilege) END, false)",
        );
        let missing = query.bind(tables).bind(rights).fetch_all(self.pool());
        self.within(missing).await.map_err(|why| self.failed(why))
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.inner.pool
    }

    pub(super) fn deadline(&self) -> Duration {
        self.inner.deadline
    }

    /// Host, port and database, for errors.
    pub(super) fn at(&self) -> &str {
        &self.inner.at
    }

    /// What a connection of one's own is made with; further settings may be added.
    pub(super) fn connect_options(&self) -> &PgConnectOptions {
        &self.inner.options
    }

    /// A connection that is not of the pool, within the deadline.
    pub(super) async fn connection(&self, options: &PgConnectOptions) -> Result<PgConnection, Failed> {
        self.within(PgConnection::connect_with(options)).await
    }

    /// A connection of its own whose end is noticed at once; it is not made anew behind the caller's back.
    pub(super) async fn listener(&self, options: PgConnectOptions) -> Result<PgListener, Failed> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(self.inner.deadline)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(options);
        let mut listener = self.within(PgListener::connect_with(&pool)).await?;
        listener.eager_reconnect(false);
        Ok(listener)
    }

    /// Runs a step under the deadline. The server's own limits are as long, so that it answers with a reason where it can.
    pub(super) async fn within<T>(&self, step: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Failed> {
        match timeout(self.inner.deadline + Self::GRACE, step).await {
            Ok(result) => result.map_err(Failed::from),
            Err(_) => Err(Failed("PostgreSQL did not answer in time".into())),
        }
    }

    pub(super) fn failed(&self, why: Failed) -> OpenError {
        OpenError::Connect { at: self.inner.at.clone(), why: why.0 }
    }

    async fn check_schema(&self) -> Result<(), OpenError> {
        let at = || self.inner.at.clone();
        let query = sqlx::query_scalar("SELECT max(version) FROM sluice.schema_version").fetch_one(self.pool());
        let Ok(answer) = timeout(self.inner.deadline + Self::GRACE, query).await else {
            return Err(self.failed(Failed("it did not answer in time".into())));
        };
        match answer {
            Ok(found) => migrate::check_version(at(), found),
            Err(error) => Err(match sql_state(&error) {
                Some(UNDEFINED_TABLE | NO_SUCH_SCHEMA) => OpenError::NotMigrated { at: at() },
                Some(NOT_GRANTED) => OpenError::NotGranted { at: at() },
                _ => self.failed(error.into()),
            }),
        }
    }
}

pub(super) fn parse(url: &str) -> Result<PgConnectOptions, OpenError> {
    PgConnectOptions::from_str(url).map_err(|_| OpenError::Url)
}

/// Host, port and database.
pub(super) fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{}/{database}", socket.display()),
        None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

/// Settings of every session. Durability and deadlines are ours, whatever the server's defaults say; a node that vanished
/// without a word loses its locks within half a minute.
fn session(options: PgConnectOptions, deadline: Duration) -> PgConnectOptions {
    let deadline = deadline.as_millis().max(1).to_string();
    options.application_name("sluice").options([
        ("synchronous_commit", "on"),
        // Every statement finds its rows by an index, whatever its parameters are: planning each time anew takes the server
        // as long as the work itself, and a plan that is kept must not be one for tables that were small when it was made.
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        // What these forbid and is done all the same (the few heads are read in sequence) counts as costly enough to be compiled.
        ("jit", "off"),
        ("statement_timeout", &deadline),
        ("lock_timeout", &deadline),
        ("idle_in_transaction_session_timeout", &deadline),
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
        // Where something is on its way to the node, keepalives wait for TCP's own patience: a quarter of an hour.
        ("tcp_user_timeout", "25000"),
    ])
}

/// Connections are asked before and after their use whether they still answer, and not for long: one whose network swallows
/// everything would otherwise keep its place in the pool for as long as TCP believes in it.
fn pool(options: PgConnectOptions, connections: u32, deadline: Duration) -> PgPool {
    let patience = deadline / 4;
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(deadline)
        .test_before_acquire(false)
        .before_acquire(move |connection, use_before| {
            Box::pin(async move {
                if use_before.idle_for > TRUSTED_FOR {
                    ping(connection, patience).await?;
                }
                Ok(true)
            })
        })
        .after_release(move |connection, _| {
            Box::pin(async move {
                ping(connection, patience).await?;
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// An error ends the connection without a further word.
async fn ping(connection: &mut PgConnection, patience: Duration) -> Result<(), sqlx::Error> {
    let answer = timeout(patience, connection.ping()).await;
    answer.unwrap_or_else(|_| Err(sqlx::Error::Io(ErrorKind::TimedOut.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let options = PostgresOptions {
            url: "postgres://gate:s3cret@db.example:5433/sluice?sslmode=require".into(),
            max_connections: 4,
            deadline: Duration::from_secs(5),
        };
        assert_eq!(
            format!("{options:?}"),
            r#"PostgresOptions { at: "db.example:5433/sluice", max_connections: 4, deadline: 5s }"#
        );
    }

    #[test]
    fn a_url_that_is_none_is_not_repeated() {
        let error = parse("postgres://gate:s3cret@db.example:none/sluice").err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("can't be read") && !error.contains("s3cret")));
    }
}
