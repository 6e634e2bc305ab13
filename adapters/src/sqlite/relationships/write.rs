//! The journal's one writer.

use sluice_subscriptions::relationships::{Relationship, Update};
use sqlx::{Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments};

use crate::sqlite::writer::Work;

pub(super) struct Job {
    pub(super) revision: u64,
    pub(super) updates: Vec<Update>,
}

pub(super) struct JournalWork;

impl Work for JournalWork {
    type Job = Job;
    /// The last revision, where the job's does not follow it.
    type Done = Result<(), u64>;
    const BEFORE_COMMIT: &'static str = "relationships.before-commit";

    async fn apply(&mut self, db: &mut SqliteConnection, job: &Job) -> Result<Self::Done, sqlx::Error> {
        let last: i64 = sqlx::query_scalar("SELECT revision FROM journal").fetch_one(&mut *db).await?;
        if job.revision != last.unsigned_abs() + 1 {
            return Ok(Err(last.unsigned_abs()));
        }
        for update in &job.updates {
            match update {
                Update::Touch(relationship) => touch(db, relationship).await?,
                Update::Delete(relationship) => delete(db, relationship).await?,
            }
        }
        let revision = job.revision.cast_signed();
        sqlx::query("UPDATE journal SET revision = ?1").bind(revision).execute(db).await?;
        Ok(Ok(()))
    }
}

async fn touch(db: &mut SqliteConnection, relationship: &Relationship) -> Result<(), sqlx::Error> {
    let touch = sqlx::query(
        "INSERT INTO relationships
             (resource_type, resource_id, relation, subject_type, subject_id, subject_relation, expires)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE SET expires = excluded.expires",
    );
    let expires = relationship.expires.map(|expires| expires.to_string());
    bind_key(touch, relationship).bind(expires).execute(db).await.map(drop)
}

async fn delete(db: &mut SqliteConnection, relationship: &Relationship) -> Result<(), sqlx::Error> {
    let delete = sqlx::query(
        "DELETE FROM relationships
         WHERE resource_type = ?1 AND resource_id = ?2 AND relation = ?3
           AND subject_type = ?4 AND subject_id = ?5 AND subject_relation = ?6",
    );
    bind_key(delete, relationship).execute(db).await.map(drop)
}

/// What a relationship is known by: all but its expiration.
fn bind_key<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    relationship: &'q Relationship,
) -> Query<'q, Sqlite, SqliteArguments> {
    query
        .bind(&*relationship.resource.object_type)
        .bind(&*relationship.resource.id)
        .bind(&*relationship.relation)
        .bind(&*relationship.subject.object.object_type)
        .bind(&*relationship.subject.object.id)
        .bind(relationship.subject.relation.as_deref().unwrap_or_default())
}
