//! The keyring as the engine sees it.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_domain::keyring::Keyring;
use sluice_schema::{ids::TenantId, proto::header::RoutingKey, sealed::DataKey};
use sluice_subscriptions::opened::{KeysUnavailable, PayloadKeys};

/// Gives the engine the keys that payloads were sealed with; it never makes one.
pub(super) struct KeyringKeys(pub(super) Arc<dyn Keyring>);

#[async_trait]
impl PayloadKeys for KeyringKeys {
    async fn key(&self, tenant: &TenantId, routing_key: &RoutingKey) -> Result<Option<DataKey>, KeysUnavailable> {
        self.0.get(tenant, routing_key).await.map_err(|error| KeysUnavailable(error.to_string()))
    }
}
