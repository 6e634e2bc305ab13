use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Mutex,
};

use async_trait::async_trait;
use sluice_schema::{
    ids::TenantId,
    proto::header::RoutingKey,
    sealed::{DataKey, KEY_BYTES},
};

use crate::keyring::{Keyring, KeyringUnavailable};

/// Keys in memory, of no strength at all.
#[derive(Default)]
pub struct MemoryKeyring {
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    made: u64,
    by_owner: HashMap<(TenantId, RoutingKey), DataKey>,
}

impl MemoryKeyring {
    /// Destroys a key: what was sealed with it can't be read any more.
    pub fn erase(&self, tenant: &TenantId, routing_key: &RoutingKey) {
        self.lock().by_owner.remove(&(tenant.clone(), routing_key.clone()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Keys> {
        self.keys.lock().expect("no test panics with the lock")
    }
}

#[async_trait]
impl Keyring for MemoryKeyring {
    async fn create_or_get(&self, tenant: &TenantId, routing_key: &RoutingKey) -> Result<DataKey, KeyringUnavailable> {
        let mut keys = self.lock();
        let owner = (tenant.clone(), routing_key.clone());
        if let Some(key) = keys.by_owner.get(&owner) {
            return Ok(key.clone());
        }
        keys.made += 1;
        let key = DataKey::new(&digest(&(keys.made, "data key")));
        keys.by_owner.insert(owner, key.clone());
        Ok(key)
    }

    async fn get(&self, tenant: &TenantId, routing_key: &RoutingKey) -> Result<Option<DataKey>, KeyringUnavailable> {
        Ok(self.lock().by_owner.get(&(tenant.clone(), routing_key.clone())).cloned())
    }

    async fn fingerprint(&self, tenant: &TenantId, input: &[u8]) -> Result<[u8; 32], KeyringUnavailable> {
        Ok(digest(&(tenant.as_str(), input)))
    }
}

fn digest(value: &impl Hash) -> [u8; KEY_BYTES] {
    let mut bytes = [0; KEY_BYTES];
    for (i, chunk) in bytes.chunks_exact_mut(8).enumerate() {
        let mut hasher = DefaultHasher::new();
        (i, "twin").hash(&mut hasher);
        value.hash(&mut hasher);
        chunk.copy_from_slice(&hasher.finish().to_be_bytes());
    }
    bytes
}
