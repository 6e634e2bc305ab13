//! The keys. Data keys are wrapped by a key of their tenant, and that by a master key that is not in the database.

mod erasures;
mod master;
mod rotate;
mod rows;

use std::future::Future;

use async_trait::async_trait;
use sluice_domain::keyring::{Keyring, KeyringUnavailable};
use sluice_schema::{ids::TenantId, proto::header::RoutingKey, sealed::DataKey};
use tokio_util::task::AbortOnDropHandle;

pub use self::master::{MasterKey, MasterKeyError};
use self::{erasures::Remembered, master::Wrapper};
use super::{OpenError, Postgres, error::Failed};
use crate::wrapped_keys::{Secrets, TenantKeys};

/// A [`Keyring`] on PostgreSQL, shared by all nodes.
///
/// An erasure on another node takes effect here when the server tells of it, within milliseconds. Where the connection that
/// it would tell by breaks without a word, it takes effect after five seconds and one deadline at the latest.
pub struct PostgresKeyring {
    db: Postgres,
    master: Wrapper,
    remembered: Remembered,
    _erasures: AbortOnDropHandle<()>,
}

impl PostgresKeyring {
    /// Begins to listen for erasures. The first one to open a database's keyring decides on its master key. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// `OtherMasterKey` where the keys that are there are wrapped with another one.
    pub async fn open(db: &Postgres, master: MasterKey) -> Result<Self, OpenError> {
        let master = master.wrapper().ok_or_else(|| db.failed(Failed(no_random())))?;
        let counts = db.within(rows::master(db.pool(), &master.check_value)).await.map_err(|why| db.failed(why))?;
        match counts {
            Some(counts) if counts == master.check_value => {}
            Some(_) => return Err(OpenError::OtherMasterKey { at: db.at().to_owned() }),
            None => {
                let what = "there are keys, but not which master key wraps them".into();
                return Err(OpenError::Damaged { at: db.at().to_owned(), what });
            }
        }
        let remembered = Remembered::default();
        let listener = erasures::listen(db).await.map_err(|why| db.failed(why))?;
        let following = tokio::spawn(erasures::follow(db.clone(), remembered.clone(), listener));
        Ok(Self { db: db.clone(), master, remembered, _erasures: AbortOnDropHandle::new(following) })
    }

    /// Whether a database's keys are wrapped with this master key; `None` where none is decided on yet. Changes nothing.
    pub async fn knows(db: &Postgres, master: &MasterKey) -> Result<Option<bool>, OpenError> {
        let check_value = master.check_value().ok_or_else(|| db.failed(Failed(no_random())))?;
        let decided = db.within(rows::decided_master(db.pool())).await.map_err(|why| db.failed(why))?;
        Ok(decided.map(|decided| decided == check_value))
    }

    /// Destroys the key of a member (or team, or organization): no node can read its events any more. After an error call
    /// again: erasing what is erased is fine. What is left of it in the server's files is wrapped; docs/operate.md says when
    /// that goes.
    pub async fn erase(&self, tenant: &TenantId, routing_key: &RoutingKey) -> Result<(), KeyringUnavailable> {
        let erased = self.within(rows::erase(self.db.pool(), tenant, routing_key)).await;
        // It may have happened though the answer did not come.
        self.remembered.forget();
        erased
    }

    async fn within<T>(&self, step: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, KeyringUnavailable> {
        self.db.within(step).await.map_err(|why| KeyringUnavailable(why.0))
    }

    /// The tenant's secrets, if it has some.
    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantKeys>, KeyringUnavailable> {
        if let Some(keys) = self.remembered.with(|cache| cache.tenant(tenant)) {
            return Ok(Some(keys));
        }
        let wrapped = self.within(rows::tenant(self.db.pool(), tenant)).await?;
        wrapped.map(|wrapped| self.use_tenant(tenant, &wrapped)).transpose()
    }

    async fn tenant_or_new(&self, tenant: &TenantId) -> Result<TenantKeys, KeyringUnavailable> {
        if let Some(keys) = self.tenant(tenant).await? {
            return Ok(keys);
        }
        let drawn = Secrets::draw().and_then(|secrets| self.master.wrap(tenant.as_str(), &secrets));
        let wrapped = drawn.ok_or_else(|| KeyringUnavailable(no_random()))?;
        let made = rows::make_tenant(self.db.pool(), tenant, &wrapped, &self.master.check_value);
        let kept = self.within(made).await?.ok_or_else(not_opened)?;
        self.use_tenant(tenant, &kept)
    }

    fn use_tenant(&self, tenant: &TenantId, wrapped: &[u8]) -> Result<TenantKeys, KeyringUnavailable> {
        let secrets = self.master.unwrap(tenant.as_str(), wrapped);
        let keys = secrets.and_then(|secrets| TenantKeys::new(&secrets)).ok_or_else(not_opened)?;
        self.remembered.with(|cache| cache.keep_tenant(tenant, keys.clone()));
        Ok(keys)
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
        self.remembered.keep(tenant, key, data_key.clone(), erasures);
        Ok(data_key)
    }

    fn erasures(&self) -> u64 {
        self.remembered.with(|cache| cache.erasures())
    }
}

#[async_trait]
impl Keyring for PostgresKeyring {
    async fn create_or_get(&self, tenant: &TenantId, routing_key: &RoutingKey) -> Result<DataKey, KeyringUnavailable> {
        if let Some(key) = self.get(tenant, routing_key).await? {
            return Ok(key);
        }
        let keys = self.tenant_or_new(tenant).await?;
        let erasures = self.erasures();
        let drawn = keys.draw_wrapped(tenant.as_str(), routing_key);
        let wrapped = drawn.ok_or_else(|| KeyringUnavailable(no_random()))?;
        let made = rows::make_data_key(self.db.pool(), tenant, routing_key, &wrapped);
        let erased = || KeyringUnavailable("the key was erased at this moment: try again".into());
        let kept = self.within(made).await?.ok_or_else(erased)?;
        self.use_data_key(tenant, routing_key, &keys, &kept, erasures)
    }

    async fn get(&self, tenant: &TenantId, routing_key: &RoutingKey) -> Result<Option<DataKey>, KeyringUnavailable> {
        if let Some(key) = self.remembered.data_key(tenant, routing_key) {
            return Ok(Some(key));
        }
        let erasures = self.erasures();
        let Some(keys) = self.tenant(tenant).await? else { return Ok(None) };
        let wrapped = self.within(rows::data_key(self.db.pool(), tenant, routing_key)).await?;
        wrapped.map(|wrapped| self.use_data_key(tenant, routing_key, &keys, &wrapped, erasures)).transpose()
    }

    async fn fingerprint(&self, tenant: &TenantId, input: &[u8]) -> Result<[u8; 32], KeyringUnavailable> {
        Ok(self.tenant_or_new(tenant).await?.fingerprint(input))
    }
}

fn not_opened() -> KeyringUnavailable {
    KeyringUnavailable(
        "a tenant's secrets do not open with this node's master key: where it was rotated restart with the new one, else \
         restore the table from a backup"
            .into(),
    )
}

fn damaged() -> KeyringUnavailable {
    KeyringUnavailable("a wrapped key does not open: it was altered or moved; restore the table from a backup".into())
}

fn no_random() -> String {
    "the system gives no random numbers".into()
}
