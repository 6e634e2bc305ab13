//! One group of records, as one statement: it is a transaction of its own, and one round trip.

use sqlx::PgConnection;

use crate::audit_chain::{Entry, Link};

const INSERT: &str = r"
    WITH records AS (
        INSERT INTO sluice.audit_records (writer, number, prev_hash, hash, body)
        SELECT $1, number, prev_hash, hash, body
        FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::text[]) AS new (number, prev_hash, hash, body)
    ), recipients AS (
        INSERT INTO sluice.audit_recipients (tenant, user_id, writer, number)
        SELECT tenant, user_id, $1, number
        FROM unnest($6::text[], $7::text[], $8::bigint[]) AS new (tenant, user_id, number)
    )
    INSERT INTO sluice.audit_patients (tenant, patient, writer, number)
    SELECT tenant, patient, $1, number
    FROM unnest($9::text[], $10::text[], $11::bigint[]) AS new (tenant, patient, number)";

/// Records in their places of a chain, in columns.
pub(super) struct Group<'a> {
    /// Where the chain is once they are durable.
    pub(super) end: Link,
    numbers: Vec<i64>,
    prev_hashes: Vec<Vec<u8>>,
    hashes: Vec<Vec<u8>>,
    bodies: Vec<&'a str>,
    recipients: Index<'a>,
    patients: Index<'a>,
}

/// Columns of a table that finds records: tenant, id, number.
#[derive(Default)]
struct Index<'a> {
    tenants: Vec<&'a str>,
    ids: Vec<&'a str>,
    numbers: Vec<i64>,
}

impl<'a> Index<'a> {
    fn extend(&mut self, tenant: &'a str, ids: impl Iterator<Item = &'a str>, number: i64) {
        for id in ids {
            self.tenants.push(tenant);
            self.ids.push(id);
            self.numbers.push(number);
        }
    }
}

impl<'a> Group<'a> {
    /// Puts `entries` behind `start`.
    pub(super) fn behind(start: Link, entries: impl Iterator<Item = &'a Entry>) -> Self {
        let mut group = Self {
            end: start,
            numbers: Vec::new(),
            prev_hashes: Vec::new(),
            hashes: Vec::new(),
            bodies: Vec::new(),
            recipients: Index::default(),
            patients: Index::default(),
        };
        entries.for_each(|entry| group.push(entry));
        group
    }

    fn push(&mut self, entry: &'a Entry) {
        let next = self.end.next(entry.body.as_bytes());
        self.numbers.push(next.number);
        self.prev_hashes.push(self.end.hash.to_vec());
        self.hashes.push(next.hash.to_vec());
        self.bodies.push(&entry.body);
        self.recipients.extend(&entry.tenant, entry.users.iter().map(|user| user.as_str()), next.number);
        self.patients.extend(&entry.tenant, entry.patients.iter().map(|patient| patient.as_str()), next.number);
        self.end = next;
    }

    /// Answers when it is durable. `execute` reads to the end of the implicit transaction, not just of the command.
    pub(super) async fn insert(&self, db: &mut PgConnection, writer: &str) -> Result<(), sqlx::Error> {
        sqlx::query(INSERT)
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
            .bind(&self.patients.numbers)
            .execute(db)
            .await
            .map(drop)
    }
}
