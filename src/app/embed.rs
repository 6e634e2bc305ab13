//! For programs that hold a gateway themselves, beside its clients: benchmarks and tests do.

use std::sync::Arc;

use sluice_domain::{keyring::Keyring, store::EventStore};
use sluice_subscriptions::{access::Access, audit::AuditTrail, log::EventLog, relationships::Relationships};

use super::App;

/// What events are appended with, and who may see them is written with.
pub struct Ports {
    pub store: Arc<dyn EventStore>,
    pub keyring: Arc<dyn Keyring>,
    pub relationships: Arc<dyn Relationships>,
}

/// What stands in for what decides and records, made from it. Nothing that is configured leads here.
pub struct Altered {
    /// What gateways read events from, in place of the store or the topic.
    pub log: Option<Arc<dyn EventLog>>,
    /// What answers the checks of viewers.
    pub relationships: fn(Arc<dyn Relationships>) -> Arc<dyn Relationships>,
    pub access: fn(Access) -> Access,
    pub audit: fn(Arc<dyn AuditTrail>) -> Arc<dyn AuditTrail>,
}

impl Default for Altered {
    fn default() -> Self {
        Self { log: None, relationships: |relationships| relationships, access: |access| access, audit: |audit| audit }
    }
}

impl App {
    pub fn ports(&self) -> Ports {
        Ports {
            store: self.parts.store(),
            keyring: self.parts.keyring(),
            relationships: self.parts.relationships.clone(),
        }
    }
}
