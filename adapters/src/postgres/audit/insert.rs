//! One group of records, as one statement: it is a transaction of its own, and one round trip.

use std::collections::BTreeMap;

use sluice_schema::ids::{MemberId, UserId};
use sqlx::{PgConnection, Postgres, postgres::PgArguments, query::Query};

use crate::audit_chain::{Entry, Key, Known, Link, Named};

macro_rules! insert {
    ($($audiences:literal)?) => {
        concat!(
            r"
    WITH records AS (
        INSERT INTO sluice.audit_records (writer, number, prev_hash, hash, body)
        SELECT $1, number, prev_hash, hash, body
        FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::text[]) AS new (number, prev_hash, hash, body)
    ), recipients AS (
        INSERT INTO sluice.audit_recipients (tenant, user_id, writer, number)
        SELECT tenant, user_id, $1, number
        FROM unnest($6::text[], $7::text[], $8::bigint[]) AS new (tenant, user_id, number)
    )",
            $($audiences,)?
            r"
    INSERT INTO sluice.audit_patients (tenant, patient, writer, number)
    SELECT tenant, patient, $1, number
    FROM unnest($9::text[], $10::text[], $11::bigint[]) AS new (tenant, patient, number)"
        )
    };
}

/// Where no record names an audience.
const INSERT: &str = insert!();

/// Another node may have written an audience, or be about to: everybody writes them in the order of their names, or two
/// would wait for each other.
const INSERT_WITH_AUDIENCES: &str = insert!(
    r", audience_records AS (
        INSERT INTO sluice.audit_audience_records (tenant, digest, writer, number)
        SELECT tenant, digest, $1, number
        FROM unnest($12::text[], $13::bytea[], $14::bigint[]) AS new (tenant, digest, number)
    ), audiences AS (
        INSERT INTO sluice.audit_audiences (digest, body)
        SELECT digest, body FROM unnest($15::bytea[], $16::text[]) AS new (digest, body)
        ON CONFLICT DO NOTHING
    ), users AS (
        INSERT INTO sluice.audit_audience_users (tenant, user_id, digest)
        SELECT tenant, user_id, digest
        FROM unnest($17::text[], $18::text[], $19::bytea[]) AS new (tenant, user_id, digest)
        ON CONFLICT DO NOTHING
    )"
);

/// Records in their places of a chain, in columns.
pub(super) struct Group<'a> {
    /// Where the chain is once they are durable.
    pub(super) end: Link,
    numbers: Vec<i64>,
    prev_hashes: Vec<Vec<u8>>,
    hashes: Vec<Vec<u8>>,
    bodies: Vec<&'a str>,
    recipients: Index<'a, &'a str>,
    patients: Index<'a, &'a str>,
    named: Index<'a, &'a [u8]>,
    /// Those that are to be written as well, by tenant and name.
    audiences: BTreeMap<Key, &'a Named>,
}

/// Columns of a table that finds records: tenant, id, number.
struct Index<'a, I> {
    tenants: Vec<&'a str>,
    ids: Vec<I>,
    numbers: Vec<i64>,
}

impl<'a, I> Index<'a, I> {
    fn new() -> Self {
        Self { tenants: Vec::new(), ids: Vec::new(), numbers: Vec::new() }
    }

    fn extend(&mut self, tenant: &'a str, ids: impl Iterator<Item = I>, number: i64) {
        for id in ids {
            self.tenants.push(tenant);
            self.ids.push(id);
            self.numbers.push(number);
        }
    }
}

impl<'a> Group<'a> {
    /// Puts `entries` behind `start`.
    pub(super) fn behind(start: Link, entries: impl Iterator<Item = &'a Entry>, known: &mut Known) -> Self {
        let mut group = Self {
            end: start,
            numbers: Vec::new(),
            prev_hashes: Vec::new(),
            hashes: Vec::new(),
            bodies: Vec::new(),
            recipients: Index::new(),
            patients: Index::new(),
            named: Index::new(),
            audiences: BTreeMap::new(),
        };
        entries.for_each(|entry| group.push(entry, known));
        group
    }

    fn push(&mut self, entry: &'a Entry, known: &mut Known) {
        let next = self.end.next(entry.body.as_bytes());
        let tenant = entry.tenant.as_str();
        self.numbers.push(next.number);
        self.prev_hashes.push(self.end.hash.to_vec());
        self.hashes.push(next.hash.to_vec());
        self.bodies.push(&entry.body);
        self.recipients.extend(tenant, entry.users.iter().map(UserId::as_str), next.number);
        self.patients.extend(tenant, entry.patients.iter().map(MemberId::as_str), next.number);
        if let Some(named) = &entry.audience {
            self.named.extend(tenant, [named.digest.as_bytes()].into_iter(), next.number);
            let key = (entry.tenant.clone(), named.digest);
            if !known.contains(&key) {
                self.audiences.insert(key, named);
            }
        }
        self.end = next;
    }

    /// The audiences that are durable once the records are.
    pub(super) fn into_audiences(self) -> impl Iterator<Item = Key> {
        self.audiences.into_keys()
    }

    /// Answers when it is durable. `execute` reads to the end of the implicit transaction, not just of the command.
    pub(super) async fn insert(&self, db: &mut PgConnection, writer: &str) -> Result<(), sqlx::Error> {
        let names_any = !self.named.ids.is_empty();
        let query = sqlx::query(if names_any { INSERT_WITH_AUDIENCES } else { INSERT })
            .bind(writer)
            .bind(&self.numbers)
            .bind(&self.prev_hashes)
            .bind(&self.hashes)
            .bind(&self.bodies)
            .bind(&self.recipients.tenants)
            .bind(&self.recipients.ids)
            .bind(&self.recipients.numbers)
            .bind(&self.patients.tenants)
            .bind(&self.patients.ids)
            .bind(&self.patients.numbers);
        let query = if names_any { self.bind_audiences(query) } else { query };
        query.execute(db).await.map(drop)
    }

    fn bind_audiences<'q>(&'q self, query: Bound<'q>) -> Bound<'q> {
        let mut audiences: Vec<_> = self.audiences.iter().collect();
        // Two tenants can have the same, which is one: by name before all, as everybody does.
        audiences.sort_by_key(|((_, digest), _)| digest);
        let (mut tenants, mut users, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for ((tenant, digest), named) in &audiences {
            for user in named.users() {
                tenants.push(tenant.as_str());
                users.push(user.to_string());
                names.push(digest.as_bytes());
            }
        }
        audiences.dedup_by_key(|((_, digest), _)| digest);
        query
            .bind(&self.named.tenants)
            .bind(&self.named.ids)
            .bind(&self.named.numbers)
            .bind(audiences.iter().map(|((_, digest), _)| digest.as_bytes()).collect::<Vec<_>>())
            .bind(audiences.iter().map(|(_, named)| named.audience.canonical()).collect::<Vec<_>>())
            .bind(tenants)
            .bind(users)
            .bind(names)
    }
}

type Bound<'q> = Query<'q, Postgres, PgArguments>;
