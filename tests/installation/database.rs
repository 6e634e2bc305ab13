//! A database of PostgreSQL for one installation: migrated once, copied for each.

use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::Path, process::Command, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::sync::OnceCell;

use super::required;

/// The role of the gateways: no more rights than `sluice migrate --grant-to` gives it.
const ROLE: &str = "sluice_gateway";
const PASSWORD: &str = "for-tests-only";

/// As many as the embedded log has.
const PARTITIONS: &str = "4";

static TEMPLATE: OnceCell<String> = OnceCell::const_new();

pub(crate) struct Database {
    name: String,
}

impl Database {
    pub(super) async fn create(name: &str) -> Self {
        let template = TEMPLATE.get_or_init(template).await;
        execute(&format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\"")).await;
        let database = Self { name: name.to_owned() };
        // A copy is a log of its own.
        let epoch = "UPDATE sluice.log SET epoch = substr(uuid_send(gen_random_uuid()), 1, 8)";
        sqlx::query(epoch).execute(&mut database.connect().await).await.unwrap();
        database
    }

    /// As the gateways' role.
    pub(crate) fn url(&self) -> String {
        let options = superuser().database(&self.name).username(ROLE).password(PASSWORD);
        options.to_url_lossy().to_string()
    }

    /// How PostgreSQL names its directory.
    pub(crate) async fn oid(&self) -> i64 {
        let query = "SELECT oid::bigint FROM pg_database WHERE datname = current_database()";
        sqlx::query_scalar(query).fetch_one(&mut self.connect().await).await.unwrap()
    }

    /// As a superuser, who may look into everything and break it.
    pub(crate) async fn connect(&self) -> PgConnection {
        superuser().database(&self.name).connect().await.unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name);
        // A runtime can't be waited for within another one.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(execute(&drop));
        });
        if dropped.join().is_err() {
            eprintln!("the database {} stays behind", self.name);
        }
    }
}

/// Made by the binary itself, as an operator would.
async fn template() -> String {
    let name = format!("{}-template", super::unique());
    let role = format!(
        "DO $$ BEGIN CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$"
    );
    execute(&role).await;
    execute(&format!("CREATE DATABASE \"{name}\"")).await;
    let url = superuser().database(&name).to_url_lossy().to_string();
    let mut migrate = Command::new(env!("CARGO_BIN_EXE_sluice"));
    migrate.args(["migrate", "--partitions", PARTITIONS, "--grant-to", ROLE]).env("SLUICE_MIGRATE_URL", url);
    let output = migrate.output().unwrap();
    assert!(output.status.success(), "sluice migrate: {}", String::from_utf8_lossy(&output.stderr));
    name
}

fn superuser() -> PgConnectOptions {
    PgConnectOptions::from_str(&required("SLUICE_TEST_POSTGRES_URL")).unwrap()
}

async fn execute(statement: &str) {
    let mut db = superuser().connect().await.unwrap();
    // Names are made here, and hold no quote.
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
}

pub(super) fn write_master_key(path: &Path) {
    let key: [u8; 32] = std::array::from_fn(|_| fastrand::u8(..));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    writeln!(file, "{}", STANDARD.encode(key)).unwrap();
}
