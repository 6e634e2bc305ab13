//! Reading the trail: verification needs no running Sluice.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use sluice_subscriptions::audit::{AuditUnavailable, Digest, Index, Verified};
use sqlx::AssertSqlSafe;

use super::unavailable;
use crate::{
    audit_chain::{Member, Row, Source, Wanted, verify},
    audit_heads::TrustedHeads,
    postgres::{OpenError, Postgres, PostgresOptions},
};

/// How many records are read at once.
const PAGE: i64 = 1000;

/// For each page.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a role that verifies must be able to read, beside the schema's version.
const READ: [&str; 6] = [
    "audit_records",
    "audit_recipients",
    "audit_patients",
    "audit_audiences",
    "audit_audience_users",
    "audit_audience_records",
];

/// An audit trail that can only be read.
#[derive(Clone)]
pub struct PostgresAuditReader {
    db: Postgres,
}

impl PostgresAuditReader {
    pub(super) fn new(db: Postgres) -> Self {
        Self { db }
    }

    /// Connects as a role that may read `sluice.schema_version` and the tables of the trail; it needs nothing more.
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        let options = PostgresOptions { url: url.to_owned(), max_connections: 1, deadline: DEADLINE };
        Ok(Self { db: Postgres::connect(&options).await? })
    }

    /// Walks every chain from its beginning.
    pub async fn verify(&self) -> Result<Verified, AuditUnavailable> {
        self.verify_with(|_| {}).await
    }

    /// [`Self::verify_against`] no heads: records cut off at a chain's end, and chains that are missing or computed anew, leave
    /// no trace in the tables.
    pub async fn verify_with(&self, progress: impl FnMut(u64) + Send) -> Result<Verified, AuditUnavailable> {
        self.verify_against(None, progress).await
    }

    /// Walks every chain and holds it against signed heads, telling now and then how many records it has checked.
    ///
    /// It finds what was altered, moved or removed, audiences that were altered or removed, what the indexes do not find, and what
    /// the heads tell of that is not there or not as it was.
    ///
    /// # Errors
    /// It can't be read, or not by this role: which tables it may not read is told.
    pub async fn verify_against(
        &self,
        heads: Option<&mut TrustedHeads>,
        progress: impl FnMut(u64) + Send,
    ) -> Result<Verified, AuditUnavailable> {
        self.may_read().await?;
        verify(self, heads, progress).await
    }

    async fn may_read(&self) -> Result<(), AuditUnavailable> {
        let query = "SELECT string_agg('sluice.' || name, ', ') FROM unnest($1::text[]) AS name
                     WHERE NOT has_table_privilege('sluice.' || name, 'SELECT')";
        let forbidden = sqlx::query_scalar(query).bind(READ.as_slice()).fetch_one(self.db.pool());
        match self.db.within(forbidden).await.map_err(unavailable)? {
            None::<String> => Ok(()),
            Some(tables) => Err(unavailable(format!(
                "the role that verifies may not read {tables}: grant it SELECT there (docs/operate.md tells what it needs)"
            ))),
        }
    }

    /// How many records there are to check, from the last number of each chain.
    pub async fn records(&self) -> Result<u64, AuditUnavailable> {
        let query = "
            WITH RECURSIVE writers (writer) AS (
                SELECT min(writer) FROM sluice.audit_records
                UNION ALL
                SELECT (SELECT min(r.writer) FROM sluice.audit_records r WHERE r.writer > writers.writer)
                FROM writers WHERE writer IS NOT NULL
            )
            SELECT coalesce(sum((SELECT max(r.number) FROM sluice.audit_records r WHERE r.writer = writers.writer)), 0)::bigint
            FROM writers WHERE writer IS NOT NULL";
        let count = sqlx::query_scalar(query).fetch_one(self.db.pool());
        self.db.within(count).await.map_err(unavailable).map(i64::unsigned_abs)
    }

    /// The places of what is not found, where `rows` make the table `wanted` and `found` is what finds one of them.
    async fn without<'q>(
        &self,
        rows: &str,
        found: &str,
        bind: impl FnOnce(Query<'q>) -> Query<'q>,
    ) -> Result<Vec<usize>, AuditUnavailable> {
        let statement = format!("SELECT place - 1 FROM {rows} WHERE NOT EXISTS (SELECT FROM {found})");
        // The text is made of ours alone.
        let places = bind(sqlx::query_scalar(AssertSqlSafe(statement))).fetch_all(self.db.pool());
        let places = self.db.within(places).await.map_err(unavailable)?;
        Ok(places.into_iter().filter_map(|place| usize::try_from(place).ok()).collect())
    }
}

type Query<'q> = sqlx::query::QueryScalar<'q, sqlx::Postgres, i64, sqlx::postgres::PgArguments>;

#[async_trait]
impl Source for PostgresAuditReader {
    async fn page(&self, (writer, number): (&str, i64)) -> Result<Vec<Row>, AuditUnavailable> {
        let rows = sqlx::query_as(
            "SELECT writer, number, prev_hash, hash, convert_to(body, 'UTF8') FROM sluice.audit_records
             WHERE (writer, number) >= ($1, $2) ORDER BY writer, number LIMIT $3",
        )
        .bind(writer)
        .bind(number)
        .bind(PAGE);
        self.db.within(rows.fetch_all(self.db.pool())).await.map_err(unavailable)
    }

    async fn audiences(&self, names: &[Digest]) -> Result<HashMap<Digest, Vec<u8>>, AuditUnavailable> {
        let bytes: Vec<_> = names.iter().map(Digest::as_bytes).collect();
        let query = "SELECT digest, convert_to(body, 'UTF8') FROM sluice.audit_audiences WHERE digest = ANY($1)";
        let rows = sqlx::query_as(query).bind(bytes);
        let rows: Vec<([u8; 32], Vec<u8>)> =
            self.db.within(rows.fetch_all(self.db.pool())).await.map_err(unavailable)?;
        Ok(rows.into_iter().map(|(name, kept)| (name.into(), kept)).collect())
    }

    async fn missing(&self, index: Index, wanted: &[Wanted<'_>]) -> Result<Vec<usize>, AuditUnavailable> {
        let (table, is_id) = match index {
            Index::Users => ("audit_recipients", "user_id = id"),
            Index::Patients => ("audit_patients", "patient = id"),
            Index::Audiences => ("audit_audience_records", "digest = decode(id, 'hex')"),
        };
        let found = format!(
            "sluice.{table} AS kept
             WHERE kept.tenant = wanted.tenant AND kept.{is_id} AND kept.writer = wanted.writer AND kept.number = wanted.number"
        );
        let rows = "unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
                        WITH ORDINALITY AS wanted (tenant, id, writer, number, place)";
        let bind = |query: Query<'static>| {
            query
                .bind(wanted.iter().map(|row| row.tenant.to_owned()).collect::<Vec<_>>())
                .bind(wanted.iter().map(|row| row.id.clone().into_owned()).collect::<Vec<_>>())
                .bind(wanted.iter().map(|row| row.writer.to_owned()).collect::<Vec<_>>())
                .bind(wanted.iter().map(|row| row.number).collect::<Vec<_>>())
        };
        self.without(rows, &found, bind).await
    }

    async fn missing_members(&self, members: &[Member<'_>]) -> Result<Vec<usize>, AuditUnavailable> {
        let rows = "unnest($1::text[], $2::text[], $3::bytea[])
                        WITH ORDINALITY AS wanted (tenant, user_id, digest, place)";
        let found = "sluice.audit_audience_users AS kept
                     WHERE (kept.tenant, kept.user_id, kept.digest) = (wanted.tenant, wanted.user_id, wanted.digest)";
        let bind = |query: Query<'static>| {
            query
                .bind(members.iter().map(|row| row.tenant.to_owned()).collect::<Vec<_>>())
                .bind(members.iter().map(|row| row.user.to_owned()).collect::<Vec<_>>())
                .bind(members.iter().map(|row| row.digest.as_bytes().to_vec()).collect::<Vec<_>>())
        };
        self.without(rows, found, bind).await
    }
}
