//! What makes the embedded relationships durable: `relationships.db`.

#[cfg(test)]
mod tests;
mod write;

use async_trait::async_trait;
use sluice_subscriptions::relationships::{Journal, ObjectRef, Relationship, RelationshipsError, SubjectRef, Update};
use sqlx::SqlitePool;

use self::write::{Job, JournalWork};
use super::{
    DataDir, OpenError,
    database::{self, Schema},
    wal::Wal,
    writer::Writer,
};

const SCHEMA: Schema = Schema {
    file: "relationships.db",
    migrations: &[include_str!("../migrations/relationships/0001_relationships.sql")],
};

/// A [`Journal`] on one SQLite file.
pub struct SqliteJournal {
    writer: Writer<JournalWork>,
    reader: SqlitePool,
}

impl SqliteJournal {
    /// Opens `relationships.db`, or makes it. Must be called within a tokio runtime.
    pub async fn open(directory: &DataDir) -> Result<Self, OpenError> {
        let path = directory.private_file(SCHEMA.file)?;
        let db = database::open(&path, SCHEMA).await?;
        let reader = database::readers(&path, 1).await?;
        let writer = Writer::start(directory, db, Wal::start(&path).await?, JournalWork);
        Ok(Self { writer, reader })
    }

    /// Writes what is queued and closes the file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    async fn read(&self) -> Result<(Vec<Row>, i64), sqlx::Error> {
        // One transaction: the relationships are those of this revision.
        let mut transaction = self.reader.begin().await?;
        let revision = sqlx::query_scalar("SELECT revision FROM journal").fetch_one(&mut *transaction).await?;
        let rows = sqlx::query_as(
            "SELECT resource_type, resource_id, relation, subject_type, subject_id, subject_relation, expires
             FROM relationships",
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok((rows, revision))
    }
}

#[async_trait]
impl Journal for SqliteJournal {
    async fn load(&self) -> Result<(Vec<Relationship>, u64), RelationshipsError> {
        let (rows, revision) = self.read().await.map_err(unavailable)?;
        let relationships = rows.into_iter().map(read_row).collect::<Result<_, _>>()?;
        Ok((relationships, revision.unsigned_abs()))
    }

    async fn append(&self, revision: u64, updates: &[Update]) -> Result<(), RelationshipsError> {
        let job = Job { revision, updates: updates.to_vec() };
        let last = self.writer.submit_one(job).await.map_err(unavailable)?;
        match last {
            Ok(()) => Ok(()),
            Err(last) => Err(RelationshipsError::Invalid(format!("revision {revision} does not follow {last}"))),
        }
    }
}

/// The columns, in their order.
type Row = (String, String, String, String, String, String, Option<String>);

fn read_row(
    (resource_type, resource_id, relation, subject_type, subject_id, subject_relation, expires): Row,
) -> Result<Relationship, RelationshipsError> {
    let object = |object_type: String, id: String| ObjectRef { object_type: object_type.into(), id: id.into() };
    let damaged = |_| RelationshipsError::Unavailable("relationships.db is damaged: restore it from a backup".into());
    Ok(Relationship {
        resource: object(resource_type, resource_id),
        relation: relation.into(),
        subject: SubjectRef {
            object: object(subject_type, subject_id),
            relation: Some(subject_relation).filter(|relation| !relation.is_empty()).map(Into::into),
        },
        expires: expires.map(|expires| expires.parse()).transpose().map_err(damaged)?,
    })
}

fn unavailable(error: impl std::fmt::Display) -> RelationshipsError {
    RelationshipsError::Unavailable(error.to_string())
}
