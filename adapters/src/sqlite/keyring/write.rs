//! The keyring's one writer.

use std::sync::{Arc, Mutex, PoisonError};

use sluice_schema::{ids::TenantId, proto::header::RoutingKey};
use sqlx::SqliteConnection;

use crate::{
    sqlite::writer::Work,
    wrapped_keys::{Cache, Secrets},
};

pub(super) enum Job {
    /// Keeps these secrets, unless the tenant has some.
    Tenant {
        tenant: TenantId,
        secrets: Secrets,
    },
    /// Keeps this wrapped key, unless there is one.
    DataKey {
        tenant: TenantId,
        key: RoutingKey,
        wrapped: Vec<u8>,
    },
    Erase {
        tenant: TenantId,
        key: RoutingKey,
    },
}

/// What is stored now.
pub(super) enum Done {
    Tenant((Vec<u8>, Vec<u8>)),
    DataKey(Vec<u8>),
    Erased,
}

pub(super) struct KeyWork {
    pub(super) cache: Arc<Mutex<Cache>>,
    /// Erased in the open transaction.
    pub(super) erased: Vec<(TenantId, RoutingKey)>,
}

impl Work for KeyWork {
    type Job = Job;
    type Done = Done;
    const BEFORE_COMMIT: &'static str = "keyring.before-commit";

    async fn apply(&mut self, db: &mut SqliteConnection, job: &Job) -> Result<Done, sqlx::Error> {
        match job {
            Job::Tenant { tenant, secrets } => keep_tenant(db, tenant, secrets).await.map(Done::Tenant),
            Job::DataKey { tenant, key, wrapped } => keep_data_key(db, tenant, key, wrapped).await.map(Done::DataKey),
            Job::Erase { tenant, key } => {
                erase(db, tenant, key).await?;
                self.erased.push((tenant.clone(), key.clone()));
                Ok(Done::Erased)
            }
        }
    }

    fn committed(&mut self) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        self.erased.drain(..).for_each(|(tenant, key)| cache.erase(&tenant, &key));
    }

    fn discarded(&mut self) {
        self.erased.clear();
    }
}

async fn keep_tenant(
    db: &mut SqliteConnection,
    tenant: &TenantId,
    secrets: &Secrets,
) -> Result<(Vec<u8>, Vec<u8>), sqlx::Error> {
    sqlx::query_as(
        "INSERT INTO tenants (tenant, wrapping, fingerprint) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING;
         SELECT wrapping, fingerprint FROM tenants WHERE tenant = ?1;",
    )
    .bind(tenant.as_str())
    .bind(secrets.wrapping.as_slice())
    .bind(secrets.fingerprint.as_slice())
    .fetch_one(db)
    .await
}

async fn keep_data_key(
    db: &mut SqliteConnection,
    tenant: &TenantId,
    key: &RoutingKey,
    wrapped: &[u8],
) -> Result<Vec<u8>, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO data_keys (tenant, routing_kind, routing_id, wrapped) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING;
         SELECT wrapped FROM data_keys WHERE tenant = ?1 AND routing_kind = ?2 AND routing_id = ?3;",
    )
    .bind(tenant.as_str())
    .bind(key.kind)
    .bind(&key.id)
    .bind(wrapped)
    .fetch_one(db)
    .await
}

async fn erase(db: &mut SqliteConnection, tenant: &TenantId, key: &RoutingKey) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM data_keys WHERE tenant = ?1 AND routing_kind = ?2 AND routing_id = ?3")
        .bind(tenant.as_str())
        .bind(key.kind)
        .bind(&key.id)
        .execute(db)
        .await
        .map(drop)
}
