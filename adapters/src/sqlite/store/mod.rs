//! The event store, which is the embedded log too: one file, `sluice.db`.

mod append;
mod checkpoints;
mod log;
mod placement;
mod retention;
mod rows;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use sluice_domain::store::{Append, AppendError, Appended, EventStore, Page, StoreUnavailable};
use sluice_schema::{
    event::{RecordedEvent, StreamId},
    ids::TenantId,
    position::{Partition, ReadVector, Seq},
    proto::header::{RoutingKey, Subject},
};
use sqlx::{SqliteConnection, SqlitePool};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use self::{
    append::{Appender, Done, Job},
    placement::{load_or_draw, place},
    rows::{EventRow, read_event},
};
use super::{
    DataDir, OpenError,
    database::{self, Schema},
    wal::Wal,
    writer::Writer,
};
use crate::placement::Placement;
use crate::window::Window;

const SCHEMA: Schema = Schema { file: "sluice.db", migrations: &[include_str!("../migrations/store/0001_events.sql")] };

const READERS: u32 = 3;

/// The current states of some entities. CROSS JOIN keeps the order of the tables: left to itself, SQLite begins with all
/// states of the tenant.
const CURRENT: &str = "SELECT wanted.key, place, version, header, payload FROM json_each(?2) AS wanted
     CROSS JOIN current_states AS c
       ON c.tenant = ?1 AND c.entity_type = wanted.value ->> 0 AND c.entity_id = wanted.value ->> 1
     CROSS JOIN events USING (place)";

/// A page of current states under a routing key. Left to itself, SQLite walks those of all routing keys.
const LIST: &str = "SELECT place, version, header, payload
     FROM current_states AS c INDEXED BY current_states_by_routing_key CROSS JOIN events USING (place)
     WHERE c.tenant = ?1 AND entity_type = ?2 AND routing_kind = ?3 AND routing_id = ?4
       AND (?5 IS NULL OR entity_id < ?5)
     ORDER BY entity_id DESC LIMIT ?6";

/// How a store is set up.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Of a new file; an existing one keeps its own. Never 1, so that nothing is true only there.
    pub partitions: Partition,
    /// How long events can be read back from the log; `None` for ever. They stay in the store either way.
    pub retention: Option<Duration>,
    /// The newest events of each partition that are kept in memory: at most so many, of at most so many bytes.
    pub window_events: usize,
    pub window_bytes: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { partitions: 4, retention: None, window_events: 16_384, window_bytes: 32 << 20 }
    }
}

/// An [`EventStore`], [`EventLog`](sluice_subscriptions::log::EventLog) and
/// [`Checkpoints`](sluice_subscriptions::log::Checkpoints) on one SQLite file.
pub struct SqliteStore {
    shared: Arc<Shared>,
    writer: Writer<Appender>,
    readers: SqlitePool,
    _retention: Option<AbortOnDropHandle<()>>,
}

/// What the writer tells the readers.
struct Shared {
    placement: Placement,
    heads: watch::Sender<ReadVector>,
    earliest: watch::Sender<ReadVector>,
    window: Mutex<Window>,
}

impl Shared {
    fn window(&self) -> MutexGuard<'_, Window> {
        // A window is whole between two pushes, whoever panicked.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From memory; `None` where the file has to be asked.
    fn recent(&self, partition: Partition, after: Seq, limit: usize) -> Option<Vec<Arc<RecordedEvent>>> {
        self.window().read(partition, after, limit)
    }

    /// The events first, then the heads: no head is ever past what can be read.
    fn publish(&self, events: impl Iterator<Item = Arc<RecordedEvent>>, heads: &ReadVector) {
        {
            let mut window = self.window();
            events.for_each(|event| window.push(event));
        }
        self.heads.send_if_modified(|current| {
            let moved = current != heads;
            current.clone_from(heads);
            moved
        });
    }
}

impl SqliteStore {
    /// Opens `sluice.db`, or makes it. Must be called within a tokio runtime.
    pub async fn open(directory: &DataDir, options: StoreOptions) -> Result<Self, OpenError> {
        let path = directory.private_file(SCHEMA.file)?;
        let mut db = database::open(&path, SCHEMA).await?;
        let placement = load_or_draw(&mut db, &path, options.partitions.max(2)).await?;
        let (heads, last_published) = read_heads(&mut db, placement.partitions).await.map_err(database_error(&path))?;
        let shared = Arc::new(Shared {
            window: Mutex::new(Window::new(placement.partitions, options.window_events, options.window_bytes)),
            placement,
            earliest: watch::Sender::new(retention::beginning(&heads)),
            heads: watch::Sender::new(heads),
        });
        let readers = database::readers(&path, READERS).await?;
        let retention = match options.retention {
            Some(retention) => {
                Some(start_retention(&shared, &readers, retention).await.map_err(database_error(&path))?)
            }
            None => None,
        };
        let writer =
            Writer::start(directory, db, Wal::start(&path).await?, Appender::new(shared.clone(), last_published));
        Ok(Self { shared, writer, readers, _retention: retention })
    }

    /// Writes what is queued and closes the file. Appends that come later are refused.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Makes events unreadable as a log that were published more than `retention` before `now`, and stops nothing else.
    /// The store does so by itself from time to time, where its options name a retention.
    pub async fn apply_retention(&self, retention: Duration, now: Timestamp) -> Result<(), StoreUnavailable> {
        retention::apply(&self.shared, &self.readers, retention, now).await.map_err(unavailable)
    }

    fn read_events(&self, rows: Vec<EventRow>) -> Result<Vec<Arc<RecordedEvent>>, StoreUnavailable> {
        rows.into_iter().map(|row| read_event(&self.shared.placement, row).map_err(unavailable)).collect()
    }
}

#[async_trait]
impl EventStore for SqliteStore {
    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        let outcomes = self.writer.submit(appends.into_iter().map(Job::Append).collect()).await;
        let answer = |outcome| match outcome {
            Ok(Done::Append(answer)) => answer,
            Ok(Done::Saved) => Err(AppendError::Unavailable("no answer".into())),
            Err(super::writer::WriteFailed(why)) => Err(AppendError::Unavailable(why)),
        };
        outcomes.into_iter().map(answer).collect()
    }

    async fn load(&self, tenant: &TenantId, stream: &StreamId) -> Result<Vec<Arc<RecordedEvent>>, StoreUnavailable> {
        let rows = sqlx::query_as(
            "SELECT place, version, header, payload FROM events WHERE tenant = ?1 AND stream = ?2 ORDER BY version",
        )
        .bind(tenant.as_str())
        .bind(stream.as_str())
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable)?;
        self.read_events(rows)
    }

    async fn current(
        &self,
        tenant: &TenantId,
        entities: &[Subject],
    ) -> Result<Vec<Option<Arc<RecordedEvent>>>, StoreUnavailable> {
        let wanted: Vec<_> = entities.iter().map(|entity| [&entity.r#type, &entity.id]).collect();
        let rows: Vec<(i64, i64, i64, Vec<u8>, Vec<u8>)> = sqlx::query_as(CURRENT)
            .bind(tenant.as_str())
            .bind(serde_json::json!(wanted).to_string())
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)?;
        let mut found = vec![None; entities.len()];
        for (index, place, version, header, payload) in rows {
            let event = read_event(&self.shared.placement, (place, version, header, payload)).map_err(unavailable)?;
            if let Some(slot) = usize::try_from(index).ok().and_then(|index| found.get_mut(index)) {
                *slot = Some(event);
            }
        }
        Ok(found)
    }

    async fn list(
        &self,
        tenant: &TenantId,
        entity_type: &str,
        routing_key: &RoutingKey,
        page: &Page,
    ) -> Result<Vec<Arc<RecordedEvent>>, StoreUnavailable> {
        let rows = sqlx::query_as(LIST)
            .bind(tenant.as_str())
            .bind(entity_type)
            .bind(routing_key.kind)
            .bind(&routing_key.id)
            .bind(page.after.as_deref())
            .bind(i64::try_from(page.limit).unwrap_or(i64::MAX))
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)?;
        self.read_events(rows)
    }

    fn heads(&self) -> ReadVector {
        self.shared.heads.borrow().clone()
    }
}

fn unavailable(error: impl std::fmt::Display) -> StoreUnavailable {
    StoreUnavailable(error.to_string())
}

fn database_error(path: &Path) -> impl Fn(sqlx::Error) -> OpenError + '_ {
    |source| OpenError::Database { path: path.to_owned(), source }
}

/// How far each partition is, and when the last event of all was published.
async fn read_heads(db: &mut SqliteConnection, partitions: Partition) -> Result<(ReadVector, i64), sqlx::Error> {
    let mut heads = ReadVector::start(partitions);
    let mut last_published = 0;
    for partition in 0..partitions {
        let last: Option<(i64, i64)> = sqlx::query_as(
            "SELECT seq, published_at FROM events WHERE place BETWEEN ?1 AND ?2 ORDER BY place DESC LIMIT 1",
        )
        .bind(place(partition, 0))
        .bind(place(partition, u64::MAX))
        .fetch_optional(&mut *db)
        .await?;
        if let Some((seq, published_at)) = last {
            heads.advance(partition, seq.unsigned_abs());
            last_published = published_at.max(last_published);
        }
    }
    Ok((heads, last_published))
}

async fn start_retention(
    shared: &Arc<Shared>,
    readers: &SqlitePool,
    retention: Duration,
) -> Result<AbortOnDropHandle<()>, sqlx::Error> {
    retention::apply(shared, readers, retention, Timestamp::now()).await?;
    let task = retention::run(Arc::downgrade(shared), readers.clone(), retention);
    Ok(AbortOnDropHandle::new(tokio::spawn(task)))
}
