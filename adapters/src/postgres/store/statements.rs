//! The statements of a group's transaction: four round trips, however large the group is.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use sluice_domain::store::Append;
use sluice_schema::position::{Partition, ReadVector};
use sqlx::{PgConnection, Row, postgres::PgArguments, query::Query};

use super::decide::{Found, Head, Writes};

type PgQuery<'q> = Query<'q, sqlx::Postgres, PgArguments>;

/// Begins the transaction, and locks the heads of its partitions in ascending order, so that no two nodes wait for each other.
pub(super) async fn begin(
    db: &mut PgConnection,
    partitions: &BTreeSet<Partition>,
) -> Result<BTreeMap<Partition, Head>, sqlx::Error> {
    let list: Vec<_> = partitions.iter().map(ToString::to_string).collect();
    // Nothing but numbers is put in: two statements in one round trip take no parameters.
    let statements = sqlx::AssertSqlSafe(format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
         SELECT partition, seq, published_at FROM sluice.heads WHERE partition = ANY ('{{{}}}') ORDER BY partition FOR UPDATE",
        list.join(",")
    ));
    let rows = sqlx::raw_sql(statements).fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            let (partition, seq): (i32, i64) = (row.try_get(0)?, row.try_get(1)?);
            Ok((partition as Partition, Head { seq: seq.unsigned_abs(), published_at: row.try_get(2)? }))
        })
        .collect()
}

/// The heads come of the same snapshot as the rest: whoever's idempotency record is seen, its events are covered.
const FIND: &str = "
    SELECT (SELECT max(e.version) FROM sluice.events e WHERE e.tenant = w.tenant AND e.stream = w.stream),
           i.input_hash, i.result,
           CASE w.place WHEN 1 THEN (SELECT array_agg(h.seq ORDER BY h.partition) FROM sluice.heads h) END
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS w (tenant, stream, scope, key, place)
    LEFT JOIN LATERAL (
        SELECT * FROM sluice.idempotency i WHERE i.tenant = w.tenant AND i.scope = w.scope AND i.key = w.key LIMIT 1
    ) i ON true
    ORDER BY w.place";

type FoundRow = (Option<i64>, Option<Vec<u8>>, Option<String>, Option<Vec<i64>>);

/// What is there about each append, and how far each partition is.
pub(super) async fn find(db: &mut PgConnection, appends: &[&Append]) -> Result<(Vec<Found>, ReadVector), sqlx::Error> {
    let of_key = |part: fn(&sluice_domain::store::Idempotency) -> &str| -> Vec<Option<&str>> {
        appends.iter().map(|append| append.idempotency.as_ref().map(part)).collect()
    };
    let mut rows: Vec<FoundRow> = sqlx::query_as(FIND)
        .bind(appends.iter().map(|append| append.tenant.as_str()).collect::<Vec<_>>())
        .bind(appends.iter().map(|append| append.stream.as_str()).collect::<Vec<_>>())
        .bind(of_key(|idempotency| &idempotency.scope))
        .bind(of_key(|idempotency| &idempotency.key))
        .fetch_all(db)
        .await?;
    let heads = rows.first_mut().and_then(|row| row.3.take()).unwrap_or_default();
    let found = rows.into_iter().map(|(version, input_hash, result, _)| Found {
        version: version.unwrap_or(0).unsigned_abs(),
        earlier: input_hash.zip(result),
    });
    Ok((found.collect(), ReadVector(heads.into_iter().map(i64::unsigned_abs).collect())))
}

const WRITE: &str = "
    WITH event AS (
        INSERT INTO sluice.events (partition, seq, tenant, stream, version, published_at, holds_state, header, payload)
        SELECT * FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bool[],
                             $8::bytea[], $9::bytea[])
    ), state AS (
        INSERT INTO sluice.current_states (tenant, entity_type, entity_id, routing_kind, routing_id, partition, seq)
        SELECT * FROM unnest($10::text[], $11::text[], $12::text[], $13::int[], $14::text[], $15::int[], $16::bigint[])
        ON CONFLICT (tenant, entity_type, entity_id) DO UPDATE
        SET partition = excluded.partition, seq = excluded.seq,
            routing_kind = excluded.routing_kind, routing_id = excluded.routing_id
    ), idempotency AS (
        INSERT INTO sluice.idempotency (tenant, scope, key, input_hash, result, at)
        SELECT * FROM unnest($17::text[], $18::text[], $19::text[], $20::bytea[], $21::text[], $22::bigint[])
    )
    UPDATE sluice.heads h SET seq = moved.seq, published_at = moved.published_at
    FROM unnest($23::int[], $24::bigint[], $25::bigint[]) AS moved (partition, seq, published_at)
    WHERE h.partition = moved.partition";

/// Writes everything that was decided, in one statement.
pub(super) async fn write(db: &mut PgConnection, writes: &Writes<'_>) -> Result<(), sqlx::Error> {
    let query = bind_events(sqlx::query(WRITE), writes);
    let query = bind_heads(bind_keys(bind_states(query, writes), writes), writes);
    let moved = query.execute(db).await?.rows_affected();
    if moved == writes.heads.len() as u64 { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

fn bind_events<'q>(query: PgQuery<'q>, writes: &Writes<'q>) -> PgQuery<'q> {
    let events = &writes.events;
    query
        .bind(events.iter().map(|of| i32::from(of.event.position.partition)).collect::<Vec<_>>())
        .bind(events.iter().map(|of| of.event.position.seq.cast_signed()).collect::<Vec<_>>())
        .bind(events.iter().map(|of| of.append.tenant.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|of| of.append.stream.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|of| of.event.version.cast_signed()).collect::<Vec<_>>())
        .bind(events.iter().map(|of| of.published_at).collect::<Vec<_>>())
        .bind(events.iter().map(|of| of.holds_state).collect::<Vec<_>>())
        .bind(events.iter().map(|of| of.event.header.encode_to_vec()).collect::<Vec<_>>())
        .bind(events.iter().map(|of| of.event.payload.0.to_vec()).collect::<Vec<_>>())
}

fn bind_states<'q>(query: PgQuery<'q>, writes: &Writes<'q>) -> PgQuery<'q> {
    let states = &writes.states;
    query
        .bind(states.keys().map(|(tenant, _, _)| *tenant).collect::<Vec<_>>())
        .bind(states.keys().map(|(_, entity_type, _)| *entity_type).collect::<Vec<_>>())
        .bind(states.keys().map(|(_, _, id)| *id).collect::<Vec<_>>())
        .bind(states.values().map(|(routing_key, _, _)| routing_key.kind).collect::<Vec<_>>())
        .bind(states.values().map(|(routing_key, _, _)| routing_key.id.as_str()).collect::<Vec<_>>())
        .bind(states.values().map(|(_, partition, _)| i32::from(*partition)).collect::<Vec<_>>())
        .bind(states.values().map(|(_, _, seq)| seq.cast_signed()).collect::<Vec<_>>())
}

fn bind_keys<'q>(query: PgQuery<'q>, writes: &Writes<'q>) -> PgQuery<'q> {
    let keys = &writes.keys;
    query
        .bind(keys.keys().map(|(tenant, _, _)| *tenant).collect::<Vec<_>>())
        .bind(keys.keys().map(|(_, scope, _)| *scope).collect::<Vec<_>>())
        .bind(keys.keys().map(|(_, _, key)| *key).collect::<Vec<_>>())
        .bind(keys.values().map(|(idempotency, _)| idempotency.input_hash.as_slice()).collect::<Vec<_>>())
        .bind(keys.values().map(|(idempotency, _)| idempotency.result.as_str()).collect::<Vec<_>>())
        .bind(keys.values().map(|(_, at)| *at).collect::<Vec<_>>())
}

fn bind_heads<'q>(query: PgQuery<'q>, writes: &Writes<'q>) -> PgQuery<'q> {
    let heads = &writes.heads;
    query
        .bind(heads.keys().map(|partition| i32::from(*partition)).collect::<Vec<_>>())
        .bind(heads.values().map(|head| head.seq.cast_signed()).collect::<Vec<_>>())
        .bind(heads.values().map(|head| head.published_at).collect::<Vec<_>>())
}
