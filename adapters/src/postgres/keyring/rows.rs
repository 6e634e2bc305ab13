//! The keyring's statements.

use sluice_schema::{ids::TenantId, proto::header::RoutingKey};
use sqlx::{PgConnection, PgPool};

use super::erasures::CHANNEL;

/// Of the advisory lock that a rotation takes alone, and whoever makes a tenant's secrets shares.
const LOCK: i64 = i64::from_be_bytes(*b"\0slkeys\0");

/// Names the master key where there is none yet; gives the check value of the one that counts. `None`: there are secrets, but
/// it is not told what wraps them.
pub(super) async fn master(db: &PgPool, check_value: &[u8]) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query(
        "INSERT INTO sluice.master_key (one, check_value)
         SELECT 1, $1 WHERE NOT EXISTS (SELECT FROM sluice.tenant_secrets) ON CONFLICT DO NOTHING",
    )
    .bind(check_value)
    .execute(db)
    .await?;
    sqlx::query_scalar("SELECT check_value FROM sluice.master_key").fetch_optional(db).await
}

/// The check value of the master key that counts.
pub(super) async fn decided_master(db: &PgPool) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar("SELECT check_value FROM sluice.master_key").fetch_optional(db).await
}

pub(super) async fn tenant(db: &PgPool, tenant: &TenantId) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar("SELECT wrapped FROM sluice.tenant_secrets WHERE tenant = $1")
        .bind(tenant.as_str())
        .fetch_optional(db)
        .await
}

/// Keeps a tenant's secrets, unless it has some; gives those that it has. `None`: another master key counts by now.
pub(super) async fn make_tenant(
    db: &PgPool,
    tenant: &TenantId,
    wrapped: &[u8],
    check_value: &[u8],
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let mut transaction = db.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock_shared($1)").bind(LOCK).execute(&mut *transaction).await?;
    sqlx::query(
        "INSERT INTO sluice.tenant_secrets (tenant, wrapped)
         SELECT $1, $2 FROM sluice.master_key WHERE check_value = $3 ON CONFLICT DO NOTHING",
    )
    .bind(tenant.as_str())
    .bind(wrapped)
    .bind(check_value)
    .execute(&mut *transaction)
    .await?;
    let kept = sqlx::query_scalar("SELECT wrapped FROM sluice.tenant_secrets WHERE tenant = $1")
        .bind(tenant.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(kept)
}

pub(super) async fn data_key(db: &PgPool, tenant: &TenantId, key: &RoutingKey) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT wrapped FROM sluice.data_keys WHERE tenant = $1 AND routing_kind = $2 AND routing_id = $3",
    )
    .bind(tenant.as_str())
    .bind(key.kind)
    .bind(&key.id)
    .fetch_optional(db)
    .await
}

/// Keeps a wrapped key, unless there is one; gives the one that is there. `None`: it was erased at that moment.
pub(super) async fn make_data_key(
    db: &PgPool,
    tenant: &TenantId,
    key: &RoutingKey,
    wrapped: &[u8],
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query(
        "INSERT INTO sluice.data_keys (tenant, routing_kind, routing_id, wrapped) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(tenant.as_str())
    .bind(key.kind)
    .bind(&key.id)
    .bind(wrapped)
    .execute(db)
    .await?;
    data_key(db, tenant, key).await
}

/// Tells the nodes in the same transaction; not which key, for the message would be in the server's queue.
pub(super) async fn erase(db: &PgPool, tenant: &TenantId, key: &RoutingKey) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH erased AS (
             DELETE FROM sluice.data_keys WHERE tenant = $1 AND routing_kind = $2 AND routing_id = $3
         ) SELECT pg_notify($4, '')",
    )
    .bind(tenant.as_str())
    .bind(key.kind)
    .bind(&key.id)
    .bind(CHANNEL)
    .execute(db)
    .await
    .map(drop)
}

/// Takes the rotation's lock; gives the check value that counts.
pub(super) async fn lock_master(db: &mut PgConnection) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *db).await?;
    sqlx::query_scalar("SELECT check_value FROM sluice.master_key FOR UPDATE").fetch_optional(db).await
}

pub(super) async fn all_tenants(db: &mut PgConnection) -> Result<Vec<(String, Vec<u8>)>, sqlx::Error> {
    sqlx::query_as("SELECT tenant, wrapped FROM sluice.tenant_secrets").fetch_all(db).await
}

pub(super) async fn rewrite(
    db: &mut PgConnection,
    (tenants, wrapped): (Vec<String>, Vec<Vec<u8>>),
    check_value: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE sluice.tenant_secrets AS kept SET wrapped = new.wrapped
         FROM unnest($1::text[], $2::bytea[]) AS new (tenant, wrapped) WHERE kept.tenant = new.tenant",
    )
    .bind(tenants)
    .bind(wrapped)
    .execute(&mut *db)
    .await?;
    sqlx::query("UPDATE sluice.master_key SET check_value = $1").bind(check_value).execute(db).await.map(drop)
}
