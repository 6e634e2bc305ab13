//! Store and keyring, whose refusals are told and counted. Their probe tells `/readyz` how they are.

use std::{fmt::Display, sync::Arc};

use async_trait::async_trait;
use sluice_domain::{
    keyring::{Keyring, KeyringUnavailable},
    store::{Append, AppendError, Appended, EventStore, Page, StoreUnavailable},
};
use sluice_schema::{
    event::{RecordedEvent, StreamId},
    ids::TenantId,
    position::ReadVector,
    proto::header::{RoutingKey, Subject},
    sealed::DataKey,
};

use super::outage::Outage;

/// A part, and whether it refuses.
pub(super) struct Counted<P: ?Sized> {
    part: Arc<P>,
    outage: Outage,
}

impl<P: ?Sized> Counted<P> {
    pub(super) fn new(part: Arc<P>, name: &'static str) -> Self {
        Self { part, outage: Outage::of(name) }
    }

    /// For a part whose every error is that it is away.
    fn note<T, E: Display>(&self, result: Result<T, E>) -> Result<T, E> {
        match &result {
            Ok(_) => self.outage.answered(),
            Err(error) => self.outage.refused(error),
        }
        result
    }
}

#[async_trait]
impl EventStore for Counted<dyn EventStore> {
    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        let results = self.part.append_many(appends).await;
        for result in &results {
            match result {
                Err(error @ AppendError::Unavailable(_)) => self.outage.refused(error),
                _ => self.outage.answered(),
            }
        }
        results
    }

    async fn load(&self, tenant: &TenantId, stream: &StreamId) -> Result<Vec<Arc<RecordedEvent>>, StoreUnavailable> {
        self.note(self.part.load(tenant, stream).await)
    }

    async fn current(
        &self,
        tenant: &TenantId,
        entities: &[Subject],
    ) -> Result<Vec<Option<Arc<RecordedEvent>>>, StoreUnavailable> {
        self.note(self.part.current(tenant, entities).await)
    }

    async fn list(
        &self,
        tenant: &TenantId,
        entity_type: &str,
        routing_key: &RoutingKey,
        page: &Page,
    ) -> Result<Vec<Arc<RecordedEvent>>, StoreUnavailable> {
        self.note(self.part.list(tenant, entity_type, routing_key, page).await)
    }

    fn heads(&self) -> ReadVector {
        self.part.heads()
    }
}

#[async_trait]
impl Keyring for Counted<dyn Keyring> {
    async fn create_or_get(&self, tenant: &TenantId, routing_key: &RoutingKey) -> Result<DataKey, KeyringUnavailable> {
        self.note(self.part.create_or_get(tenant, routing_key).await)
    }

    async fn get(&self, tenant: &TenantId, routing_key: &RoutingKey) -> Result<Option<DataKey>, KeyringUnavailable> {
        self.note(self.part.get(tenant, routing_key).await)
    }

    async fn fingerprint(&self, tenant: &TenantId, input: &[u8]) -> Result<[u8; 32], KeyringUnavailable> {
        self.note(self.part.fingerprint(tenant, input).await)
    }
}
