//! The records of one call, as few statements: each costs a message to SQLite's thread and back, as much as several rows.

use std::{ops::Range, sync::Arc};

use serde_json::json;
use sluice_schema::ids::{MemberId, TenantId, UserId};
use sluice_subscriptions::audit::Digest;
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments};

use crate::audit_chain::{Entry, HASH_BYTES, Key, Link, Named};

/// There is a statement for each power of two up to 2⁸ rows, so that all of them stay prepared.
const SIZES: u32 = 9;

/// How many records of a writer have an index of their own. As many as keep it small: a batch then writes few pages of it,
/// where an index over everything has a page for each person. And as few indexes as can each be looked into.
const SEGMENT: i64 = 1024;

/// How the rows of each table are inserted.
pub(super) struct Inserts {
    writer: Arc<str>,
    /// The segments of the boots before.
    earlier: i64,
    records: Statements,
    recipients: Statements,
    patients: Statements,
    audience_records: Statements,
}

impl Inserts {
    pub(super) async fn prepare(db: &mut SqliteConnection, writer: &str) -> Result<Self, sqlx::Error> {
        Ok(Self {
            writer: writer.into(),
            earlier: sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM segments").fetch_one(db).await?,
            records: Statements::of(records),
            recipients: Statements::of(|rows| index("segment_recipients", "segment", "user", rows)),
            patients: Statements::of(|rows| index("segment_patients", "segment", "patient", rows)),
            audience_records: Statements::of(|rows| index("audience_records", "writer", "digest", rows)),
        })
    }

    /// Puts `entries` behind `end`, and gives where the chain is then.
    pub(super) async fn write(
        &self,
        db: &mut SqliteConnection,
        mut end: Link,
        mut entries: &[&Entry],
    ) -> Result<Link, sqlx::Error> {
        while !entries.is_empty() {
            let room = (SEGMENT - end.number % SEGMENT) as usize;
            let (now, later) = entries.split_at(entries.len().min(room));
            end = self.write_segment(db, end, now).await?;
            entries = later;
        }
        Ok(end)
    }

    /// Records that are all of one segment.
    async fn write_segment(
        &self,
        db: &mut SqliteConnection,
        start: Link,
        entries: &[&Entry],
    ) -> Result<Link, sqlx::Error> {
        let (writer, first) = (|| self.writer.clone(), start.number + 1);
        let segment = self.earlier + start.number / SEGMENT + 1;
        if start.number % SEGMENT == 0 {
            let begin = sqlx::query("INSERT INTO segments (id, writer, first) VALUES (?, ?, ?)");
            begin.bind(segment).bind(writer()).bind(first).execute(&mut *db).await?;
        }
        let group = Group::behind(start, entries);
        let body = |query: Bound, entry: &&Entry| query.bind(entry.body.clone());
        let places = |query: Bound, rows: Range<usize>| {
            let hashes = &group.hashes[rows.start * HASH_BYTES..(rows.end + 1) * HASH_BYTES];
            query.bind(writer()).bind(first + rows.start as i64).bind(hashes)
        };
        self.records.insert(db, entries, body, places).await?;
        let of_segment = |query: Bound, _| query.bind(segment);
        self.recipients.insert(db, &group.recipients, Found::bind, of_segment).await?;
        self.patients.insert(db, &group.patients, Found::bind, of_segment).await?;
        self.audience_records.insert(db, &group.audiences, Found::bind_digest, |query, _| query.bind(writer())).await?;
        Ok(group.end)
    }
}

/// Where records are in the chain, and what finds them.
struct Group<'a> {
    end: Link,
    /// The hash before the first one, then each one's own.
    hashes: Vec<u8>,
    recipients: Vec<Found<'a, UserId>>,
    patients: Vec<Found<'a, MemberId>>,
    audiences: Vec<Found<'a, Digest>>,
}

impl<'a> Group<'a> {
    fn behind(start: Link, entries: &[&'a Entry]) -> Self {
        let mut group = Self {
            end: start,
            hashes: start.hash.to_vec(),
            recipients: Vec::with_capacity(entries.len()),
            patients: Vec::with_capacity(entries.len()),
            audiences: Vec::new(),
        };
        for entry in entries {
            group.end = group.end.next(entry.body.as_bytes());
            group.hashes.extend_from_slice(&group.end.hash);
            let (tenant, number) = (&entry.tenant, group.end.number);
            group.recipients.extend(entry.users.iter().map(|by| Found { tenant, by, number }));
            group.patients.extend(entry.patients.iter().map(|by| Found { tenant, by, number }));
            group.audiences.extend(entry.audience.iter().map(|named| Found { tenant, by: &named.digest, number }));
        }
        // In the order in which they lie.
        group.recipients.sort_unstable();
        group.patients.sort_unstable();
        group
    }
}

/// By what a record is found.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Found<'a, I> {
    tenant: &'a TenantId,
    by: &'a I,
    number: i64,
}

impl<I> Found<'_, I>
where
    for<'i> &'i I: Into<Arc<str>>,
{
    fn bind(query: Bound, found: &Self) -> Bound {
        let (tenant, by): (Arc<str>, Arc<str>) = (found.tenant.into(), found.by.into());
        query.bind(tenant).bind(by).bind(found.number)
    }
}

impl Found<'_, Digest> {
    fn bind_digest(query: Bound, found: &Self) -> Bound {
        let tenant: Arc<str> = found.tenant.into();
        query.bind(tenant).bind(found.by.as_bytes()).bind(found.number)
    }
}

type Bound = Query<'static, Sqlite, SqliteArguments>;

/// The statements that insert 1, 2, 4 … rows into a table.
struct Statements([Arc<str>; SIZES as usize]);

impl Statements {
    fn of(text: impl Fn(usize) -> String) -> Self {
        Self(std::array::from_fn(|size| text(1 << size).into()))
    }

    /// `row` binds one row; `common`, after them, what those in this range have in common.
    async fn insert<R>(
        &self,
        db: &mut SqliteConnection,
        rows: &[R],
        row: impl Fn(Bound, &R) -> Bound,
        common: impl Fn(Bound, Range<usize>) -> Bound,
    ) -> Result<(), sqlx::Error> {
        let mut done = 0;
        while let Some(size) = (rows.len() - done).checked_ilog2() {
            let size = size.min(SIZES - 1);
            let now = done..done + (1 << size);
            // The text is made of ours alone.
            let query = sqlx::query(AssertSqlSafe(self.0[size as usize].clone()));
            let query = rows[now.clone()].iter().fold(query, &row);
            common(query, now.clone()).execute(&mut *db).await?;
            done = now.end;
        }
        Ok(())
    }
}

// Rows' parameters have no numbers: to find one that has, SQLite's driver looks through all that have. Those that rows have
// in common come last, in the text as well.

/// One parameter for each row, the body; then the writer, the first number, and all hashes in one.
fn records(rows: usize) -> String {
    let values = (0..rows).map(|place| format!("({place}, ?)")).collect::<Vec<_>>().join(", ");
    let [writer, first, hashes] = [1, 2, 3].map(|place| rows + place);
    format!(
        "WITH new (place, body) AS (VALUES {values})
         INSERT INTO records (writer, number, prev_hash, hash, body)
         SELECT ?{writer}, ?{first} + place, substr(?{hashes}, {HASH_BYTES} * place + 1, {HASH_BYTES}),
                substr(?{hashes}, {HASH_BYTES} * (place + 1) + 1, {HASH_BYTES}), body FROM new"
    )
}

/// Three parameters for each row: the tenant, the id and the number; then what is common to all.
fn index(table: &str, common: &str, id: &str, rows: usize) -> String {
    let values = vec!["(?, ?, ?)"; rows].join(", ");
    format!(
        "WITH new (tenant, {id}, number) AS (VALUES {values})
         INSERT INTO {table} (tenant, {id}, number, {common}) SELECT tenant, {id}, number, ? FROM new"
    )
}

/// Another boot may have written it. Not `ON CONFLICT DO NOTHING`: triggers refuse what is there before a conflict is seen.
const AUDIENCE: &str = "
    INSERT INTO audiences (digest, body) SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM audiences WHERE digest = ?1);
    INSERT INTO audience_users (tenant, user, digest) SELECT ?3, value, ?1 FROM json_each(?4)
    WHERE NOT EXISTS (SELECT 1 FROM audience_users WHERE tenant = ?3 AND user = value AND digest = ?1);";

pub(super) async fn write_audience(
    db: &mut SqliteConnection,
    (tenant, digest): &Key,
    named: &Named,
) -> Result<(), sqlx::Error> {
    sqlx::query(AUDIENCE)
        .bind(digest.as_bytes())
        .bind(named.audience.canonical())
        .bind(tenant.as_str())
        .bind(json!(named.users()).to_string())
        .execute(db)
        .await
        .map(drop)
}
