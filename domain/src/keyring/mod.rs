//! The keys that payloads are sealed with: the port.

#[cfg(any(test, feature = "contract"))]
pub mod contract;

use async_trait::async_trait;
use sluice_schema::{ids::TenantId, proto::header::RoutingKey, sealed::DataKey};

#[derive(Debug, thiserror::Error)]
#[error("the keyring can't be used now: {0}")]
pub struct KeyringUnavailable(pub String);

/// Data keys: one for each routing key (a member's events have the member's own), wrapped by a key of the tenant.
///
/// - `create_or_get` answers when a new key is durable: an event is never sealed with a key that a crash could lose.
/// - `get` never makes a key. `None` means that there is none, or that it was erased: its events can't be read any more.
/// - Keys of two tenants differ though their routing keys are equal.
#[async_trait]
pub trait Keyring: Send + Sync {
    async fn create_or_get(&self, tenant: &TenantId, routing_key: &RoutingKey) -> Result<DataKey, KeyringUnavailable>;

    async fn get(&self, tenant: &TenantId, routing_key: &RoutingKey) -> Result<Option<DataKey>, KeyringUnavailable>;

    /// HMAC-SHA256 under a secret of the tenant that never leaves the keyring: to compare inputs that hold PHI.
    async fn fingerprint(&self, tenant: &TenantId, input: &[u8]) -> Result<[u8; 32], KeyringUnavailable>;
}
