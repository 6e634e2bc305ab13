//! The keys: `keys.db`, readable by its owner only. Data keys are wrapped by a key of their tenant.

#[cfg(test)]
mod tests;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sluice_domain::keyring::{Keyring, KeyringUnavailable};
use sluice_schema::{ids::TenantId, proto::header::RoutingKey, sealed::DataKey};
use sqlx::SqlitePool;

use self::write::{Done, Job, KeyWork};
use super::{
    DataDir, OpenError,
    database::{self, Schema},
    wal::Wal,
    writer::Writer,
};
use crate::wrapped_keys::{Cache, Secrets, TenantKeys};

const SCHEMA: Schema = Schema { file: "keys.db", migrations: &[include_str!("../migrations/keys/0001_keys.sql")] };

const READERS: u32 = 2;

/// A [`Keyring`] on one SQLite file.
pub struct SqliteKeyring {
    writer: Writer<KeyWork>,
    readers: SqlitePool,
    cache: Arc<Mutex<Cache>>,
}

impl SqliteKeyring {
    /// Opens `keys.db`, or makes it. Must be called within a tokio runtime.
    pub async fn open(directory: &DataDir) -> Result<Self, OpenError> {
        let path = directory.private_file(SCHEMA.file)?;
        let mut db = database::open(&path, SCHEMA).await?;
        // An erased key is overwritten, not just unlinked.
        let secure = sqlx::query("PRAGMA secure_delete = ON").execute(&mut db).await;
        secure.map_err(|source| OpenError::Database { path: path.clone(), source })?;
        let cache = Arc::new(Mutex::new(Cache::default()));
        let readers = database::readers(&path, READERS).await?;
        let work = KeyWork { cache: cache.clone(), erased: Vec::new() };
        let writer = Writer::start(directory, db, Wal::start(&path).await?, work);
        Ok(Self { writer, readers, cache })
    }

    /// Destroys the key of a member (or team, or organization): its events can't be read any more, by nobody and nowhere.
    /// Answers when that is durable and the write-ahead log, which still has the key, is emptied. After an error call
    /// again: erasing what is erased is fine.
    pub async fn erase(&self, tenant: &TenantId, routing_key: &RoutingKey) -> Result<(), KeyringUnavailable> {
        self.submit(Job::Erase { tenant: tenant.clone(), key: routing_key.clone() }).await?;
        let (busy, ..): (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.readers).await.map_err(unavailable)?;
        if busy == 0 {
            Ok(())
        } else {
            Err(KeyringUnavailable("the key is erased, its copy in the log not yet".into()))
        }
    }

    /// Writes what is queued and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // Each change of it is a single one, whoever panicked.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn submit(&self, job: Job) -> Result<Done, KeyringUnavailable> {
        self.writer.submit_one(job).await.map_err(unavailable)
    }

    /// The tenant's secrets, if it has some.
    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantKeys>, KeyringUnavailable> {
        if let Some(keys) = self.cache().tenant(tenant) {
            return Ok(Some(keys));
        }
        let row = sqlx::query_as("SELECT wrapping, fingerprint FROM tenants WHERE tenant = ?1")
            .bind(tenant.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        row.map(|row| self.use_tenant(tenant, row)).transpose()
    }

    async fn tenant_or_new(&self, tenant: &TenantId) -> Result<TenantKeys, KeyringUnavailable> {
        if let Some(keys) = self.tenant(tenant).await? {
            return Ok(keys);
        }
        let secrets = Secrets::draw().ok_or_else(no_random)?;
        match self.submit(Job::Tenant { tenant: tenant.clone(), secrets }).await? {
            Done::Tenant(row) => self.use_tenant(tenant, row),
            Done::DataKey(_) | Done::Erased => Err(damaged()),
        }
    }

    fn use_tenant(&self, tenant: &TenantId, row: (Vec<u8>, Vec<u8>)) -> Result<TenantKeys, KeyringUnavailable> {
        let keys = Secrets::from_row(row).and_then(|secrets| TenantKeys::new(&secrets)).ok_or_else(damaged)?;
        self.cache().keep_tenant(tenant, keys.clone());
        Ok(keys)
    }

    /// From the file, if it is there.
    async fn read(&self, tenant: &TenantId, key: &RoutingKey) -> Result<Option<DataKey>, KeyringUnavailable> {
        let erasures = self.cache().erasures();
        let Some(keys) = self.tenant(tenant).await? else { return Ok(None) };
        let wrapped: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT wrapped FROM data_keys WHERE tenant = ?1 AND routing_kind = ?2 AND routing_id = ?3",
        )
        .bind(tenant.as_str())
        .bind(key.kind)
        .bind(&key.id)
        .fetch_optional(&self.readers)
        .await
        .map_err(unavailable)?;
        wrapped.map(|wrapped| self.use_data_key(tenant, key, &keys, &wrapped, erasures)).transpose()
    }

    fn use_data_key(
        &self,
        tenant: &TenantId,
        key: &RoutingKey,
        keys: &TenantKeys,
        wrapped: &[u8],
        erasures: u64,
    ) -> Result<DataKey, KeyringUnavailable> {
        let data_key = keys.unwrap(tenant.as_str(), key, wrapped).ok_or_else(damaged)?;
        self.cache().keep_data_key(tenant, key, data_key.clone(), erasures);
        Ok(data_key)
    }
}

#[async_trait]
impl Keyring for SqliteKeyring {
    async fn create_or_get(&self, tenant: &TenantId, routing_key: &RoutingKey) -> Result<DataKey, KeyringUnavailable> {
        if let Some(key) = self.get(tenant, routing_key).await? {
            return Ok(key);
        }
        let keys = self.tenant_or_new(tenant).await?;
        let erasures = self.cache().erasures();
        let wrapped = keys.draw_wrapped(tenant.as_str(), routing_key).ok_or_else(no_random)?;
        let job = Job::DataKey { tenant: tenant.clone(), key: routing_key.clone(), wrapped };
        match self.submit(job).await? {
            Done::DataKey(wrapped) => self.use_data_key(tenant, routing_key, &keys, &wrapped, erasures),
            Done::Tenant(_) | Done::Erased => Err(damaged()),
        }
    }

    async fn get(&self, tenant: &TenantId, routing_key: &RoutingKey) -> Result<Option<DataKey>, KeyringUnavailable> {
        let cached = self.cache().data_key(tenant, routing_key);
        match cached {
            Some(key) => Ok(Some(key)),
            None => self.read(tenant, routing_key).await,
        }
    }

    async fn fingerprint(&self, tenant: &TenantId, input: &[u8]) -> Result<[u8; 32], KeyringUnavailable> {
        Ok(self.tenant_or_new(tenant).await?.fingerprint(input))
    }
}

fn unavailable(error: impl std::fmt::Display) -> KeyringUnavailable {
    KeyringUnavailable(error.to_string())
}

fn damaged() -> KeyringUnavailable {
    KeyringUnavailable("keys.db is damaged: restore it from its backup".into())
}

fn no_random() -> KeyringUnavailable {
    KeyringUnavailable("the system gives no random numbers".into())
}
