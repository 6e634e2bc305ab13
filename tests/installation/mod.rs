//! An installation for a test: a directory and, on the real parts, a database, a topic and a tenant of its own.
//!
//! `SLUICE_TEST_PROFILE=real` asks for the real parts; `cargo xtask test` sets it, and says where they are.

mod check;
mod database;
mod gateway;
mod proxy;
mod record;
mod relationships;

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;

use self::database::Database;
pub(crate) use self::{
    check::Check,
    gateway::{Gateway, GatewayOptions},
    proxy::{Proxy, Way},
    relationships::{another_client, answered_by},
};

/// Shared by its processes. Nothing is left of it when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Home {
    dir: Arc<TempDir>,
    tenant: String,
    /// What a process of this installation has in its environment.
    environment: Vec<(String, String)>,
    database: Option<Arc<Database>>,
}

/// Whether the tests run on the real parts.
pub(crate) fn on_real_parts() -> bool {
    env::var("SLUICE_TEST_PROFILE").is_ok_and(|profile| profile == "real")
}

impl Home {
    pub(crate) async fn new() -> Self {
        Self::in_directory(TempDir::new().unwrap()).await
    }

    pub(crate) async fn in_directory(dir: TempDir) -> Self {
        let dir = Arc::new(dir);
        if !on_real_parts() {
            return Self { dir, tenant: "demo".into(), environment: Vec::new(), database: None };
        }
        let name = unique();
        let database = Database::create(&name).await;
        let environment = environment(&name, &database, dir.path());
        Self { dir, tenant: name, environment, database: Some(Arc::new(database)) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path().join("data")
    }

    /// The tenant of the demo people.
    pub(crate) fn tenant(&self) -> &str {
        &self.tenant
    }

    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// The database, where there is one.
    pub(crate) fn database(&self) -> Option<&Database> {
        self.database.as_deref()
    }
}

/// Told apart from those of all other tests, of this run and of earlier ones.
fn unique() -> String {
    format!("e2e-{:x}-{:x}", std::process::id(), fastrand::u64(..))
}

fn environment(name: &str, database: &Database, dir: &Path) -> Vec<(String, String)> {
    let master_key = dir.join("master.key");
    database::write_master_key(&master_key);
    let settings = [
        ("PARTS__STORE", "postgres".to_owned()),
        ("PARTS__LOG", "kafka".to_owned()),
        ("PARTS__RELATIONSHIPS", "spicedb".to_owned()),
        ("POSTGRES__URL", database.url()),
        ("POSTGRES__MASTER_KEY_FILE", master_key.display().to_string()),
        ("POSTGRES__MAX_CONNECTIONS", "6".to_owned()),
        ("KAFKA__BROKERS", required("SLUICE_TEST_KAFKA")),
        ("KAFKA__TOPIC", name.to_owned()),
        ("KAFKA__REPLICATION", "1".to_owned()),
        ("SPICEDB__ENDPOINT", required("SLUICE_TEST_SPICEDB")),
        ("SPICEDB__PRESHARED_KEY", required("SLUICE_TEST_SPICEDB_KEY")),
        ("DEMO__TENANT", name.to_owned()),
    ];
    settings.into_iter().map(|(key, value)| (format!("SLUICE__{key}"), value)).collect()
}

pub(crate) fn required(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run these tests with `cargo xtask test`"))
}
