//! The store's one writer: appends and checkpoints.

use std::sync::Arc;

use jiff::Timestamp;
use prost::Message;
use sluice_domain::store::{Append, AppendError, Appended, Idempotency};
use sluice_schema::{
    event::{NewEvent, RecordedEvent},
    position::{Epoch, Partition, Position, ReadVector},
};
use sqlx::SqliteConnection;

use super::{Shared, checkpoints, placement::place};
use crate::{
    failpoint,
    record::{admit, record},
    sqlite::writer::Work,
};

pub(super) enum Job {
    Append(Append),
    Checkpoint { worker: String, epoch: Epoch, vector: ReadVector },
}

pub(super) enum Done {
    Append(Result<Appended, AppendError>),
    Saved,
}

/// The tentative state of the open transaction.
pub(super) struct Appender {
    shared: Arc<Shared>,
    heads: ReadVector,
    fresh: Vec<Arc<RecordedEvent>>,
    /// Unix milliseconds; times of publication never go back, whatever the clock does.
    last_published: i64,
}

/// What was found about an append before it is written.
struct Found {
    version: u64,
    /// Of the idempotency key's first use.
    earlier: Option<(Vec<u8>, String)>,
}

impl Work for Appender {
    type Job = Job;
    type Done = Done;
    const BEFORE_COMMIT: &'static str = "store.before-commit";
    const AFTER_COMMIT: Option<&'static str> = Some("store.after-commit");

    async fn apply(&mut self, db: &mut SqliteConnection, job: &Job) -> Result<Done, sqlx::Error> {
        match job {
            Job::Append(append) => Ok(Done::Append(self.append(db, append).await?)),
            Job::Checkpoint { worker, epoch, vector } => {
                failpoint::pass("checkpoint.before-save").await;
                checkpoints::write(db, worker, *epoch, vector).await?;
                Ok(Done::Saved)
            }
        }
    }

    fn committed(&mut self) {
        self.shared.publish(self.fresh.drain(..), &self.heads);
    }

    fn discarded(&mut self) {
        self.fresh.clear();
        self.heads = self.shared.heads.borrow().clone();
    }
}

impl Appender {
    pub(super) fn new(shared: Arc<Shared>, last_published: i64) -> Self {
        let heads = shared.heads.borrow().clone();
        Self { shared, heads, fresh: Vec::new(), last_published }
    }

    async fn append(
        &mut self,
        db: &mut SqliteConnection,
        append: &Append,
    ) -> Result<Result<Appended, AppendError>, sqlx::Error> {
        let routing_key = match admit(append) {
            Ok(routing_key) => routing_key,
            Err(refused) => return Ok(Err(refused)),
        };
        let found = find(db, append).await?;
        if let Some(answer) = self.answer_repeat(append.idempotency.as_ref(), found.earlier) {
            return Ok(answer);
        }
        if found.version != append.expected_version {
            return Ok(Err(AppendError::Conflict { actual: found.version }));
        }
        let events = self.record(append, self.shared.placement.partition(append.tenant.as_str(), routing_key));
        for (event, recorded) in append.events.iter().zip(&events) {
            insert_event(db, append, event, recorded, self.last_published).await?;
        }
        if let Some(idempotency) = &append.idempotency {
            insert_idempotency(db, append, idempotency, self.last_published).await?;
        }
        Ok(Ok(self.accept(events)))
    }

    fn answer_repeat(
        &self,
        idempotency: Option<&Idempotency>,
        earlier: Option<(Vec<u8>, String)>,
    ) -> Option<Result<Appended, AppendError>> {
        let (input_hash, result) = earlier?;
        if idempotency.is_some_and(|now| now.input_hash.as_slice() == input_hash) {
            Some(Ok(Appended::Repeated { result, heads: self.heads.clone() }))
        } else {
            Some(Err(AppendError::IdempotencyConflict))
        }
    }

    /// The events with their places, behind the tentative head.
    fn record(&mut self, append: &Append, partition: Partition) -> Vec<Arc<RecordedEvent>> {
        self.last_published = self.last_published.max(Timestamp::now().as_millisecond());
        record(append, &self.shared.placement, partition, self.heads.get(partition), self.last_published)
    }

    fn accept(&mut self, events: Vec<Arc<RecordedEvent>>) -> Appended {
        let positions: Vec<Position> = events.iter().map(|event| event.position).collect();
        positions.iter().for_each(|position| self.heads.advance(position.partition, position.seq));
        self.fresh.extend(events);
        Appended::Fresh { positions, heads: self.heads.clone() }
    }
}

async fn find(db: &mut SqliteConnection, append: &Append) -> Result<Found, sqlx::Error> {
    let idempotency = append.idempotency.as_ref();
    let (version, input_hash, result): (Option<i64>, Option<Vec<u8>>, Option<String>) = sqlx::query_as(
        "SELECT (SELECT max(version) FROM events WHERE tenant = ?1 AND stream = ?2), input_hash, result
         FROM (SELECT 1) LEFT JOIN idempotency ON tenant = ?1 AND scope = ?3 AND key = ?4",
    )
    .bind(append.tenant.as_str())
    .bind(append.stream.as_str())
    .bind(idempotency.map(|idempotency| idempotency.scope.as_str()))
    .bind(idempotency.map(|idempotency| idempotency.key.as_str()))
    .fetch_one(db)
    .await?;
    Ok(Found { version: version.unwrap_or(0).unsigned_abs(), earlier: input_hash.zip(result) })
}

const INSERT_EVENT: &str = "
    INSERT INTO events (place, tenant, stream, version, published_at, holds_state, header, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7);";

/// Both statements in one round trip; they share the numbered parameters.
const INSERT_STATE: &str = "
    INSERT INTO events (place, tenant, stream, version, published_at, holds_state, header, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7);
    INSERT INTO current_states (tenant, entity_type, entity_id, routing_kind, routing_id, place)
    VALUES (?2, ?8, ?9, ?10, ?11, ?1)
    ON CONFLICT (tenant, entity_type, entity_id) DO UPDATE
    SET place = excluded.place, routing_kind = excluded.routing_kind, routing_id = excluded.routing_id;";

async fn insert_event(
    db: &mut SqliteConnection,
    append: &Append,
    event: &NewEvent,
    recorded: &RecordedEvent,
    published_at: i64,
) -> Result<(), sqlx::Error> {
    let subject = recorded.subject();
    let routing_key = recorded.header.routing_key.clone().unwrap_or_default();
    let insert = sqlx::query(if event.holds_state { INSERT_STATE } else { INSERT_EVENT })
        .bind(place(recorded.position.partition, recorded.position.seq))
        .bind(append.tenant.as_str())
        .bind(append.stream.as_str())
        .bind(recorded.version.cast_signed())
        .bind(published_at)
        .bind(recorded.header.encode_to_vec())
        .bind(recorded.payload.0.as_ref());
    let insert = if event.holds_state {
        insert.bind(subject.r#type).bind(subject.id).bind(routing_key.kind).bind(routing_key.id)
    } else {
        insert
    };
    insert.execute(db).await.map(drop)
}

async fn insert_idempotency(
    db: &mut SqliteConnection,
    append: &Append,
    idempotency: &Idempotency,
    at: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO idempotency (tenant, scope, key, input_hash, result, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        .bind(append.tenant.as_str())
        .bind(&idempotency.scope)
        .bind(&idempotency.key)
        .bind(idempotency.input_hash.as_slice())
        .bind(&idempotency.result)
        .bind(at)
        .execute(db)
        .await
        .map(drop)
}
