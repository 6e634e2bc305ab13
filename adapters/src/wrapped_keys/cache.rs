//! Keys that were unwrapped before.

use std::collections::HashMap;

use sluice_schema::{ids::TenantId, proto::header::RoutingKey, sealed::DataKey};

use super::tenant::TenantKeys;

/// When there are more data keys than this, all are forgotten: they are quickly read again.
const MAX_DATA_KEYS: usize = 1 << 16;

#[derive(Default)]
pub(crate) struct Cache {
    tenants: HashMap<TenantId, TenantKeys>,
    data_keys: HashMap<Name, DataKey>,
    /// Counts erasures: what was read before one must not come in after it.
    erasures: u64,
}

/// A data key's name: tenant, kind and id of the routing key.
type Name = (TenantId, i32, String);

fn name(tenant: &TenantId, key: &RoutingKey) -> Name {
    (tenant.clone(), key.kind, key.id.clone())
}

impl Cache {
    pub(crate) fn tenant(&self, tenant: &TenantId) -> Option<TenantKeys> {
        self.tenants.get(tenant).cloned()
    }

    pub(crate) fn keep_tenant(&mut self, tenant: &TenantId, keys: TenantKeys) {
        self.tenants.insert(tenant.clone(), keys);
    }

    pub(crate) fn data_key(&self, tenant: &TenantId, key: &RoutingKey) -> Option<DataKey> {
        self.data_keys.get(&name(tenant, key)).cloned()
    }

    pub(crate) fn erasures(&self) -> u64 {
        self.erasures
    }

    /// Takes a key that was read when there had been `erasures`.
    pub(crate) fn keep_data_key(&mut self, tenant: &TenantId, key: &RoutingKey, data_key: DataKey, erasures: u64) {
        if erasures != self.erasures {
            return;
        }
        if self.data_keys.len() >= MAX_DATA_KEYS {
            self.data_keys.clear();
        }
        self.data_keys.insert(name(tenant, key), data_key);
    }

    /// As if all were erased.
    pub(crate) fn forget_data_keys(&mut self) {
        self.erasures += 1;
        self.data_keys.clear();
    }

    pub(crate) fn erase(&mut self, tenant: &TenantId, key: &RoutingKey) {
        self.erasures += 1;
        self.data_keys.remove(&name(tenant, key));
    }
}
