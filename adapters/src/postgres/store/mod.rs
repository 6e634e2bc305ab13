//! The event store, which can be read as a log too, for all nodes on one database.

mod checkpoints;
mod decide;
mod follow;
mod log;
mod recent;
mod retention;
mod rows;
mod statements;
mod transaction;
mod writer;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use sluice_domain::store::{Append, AppendError, Appended, EventStore, Page, StoreUnavailable};
use sluice_schema::{
    event::{RecordedEvent, StreamId},
    ids::TenantId,
    position::{Epoch, ReadVector},
    proto::header::{RoutingKey, Subject},
};
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

pub use self::recent::RecentLog;
use self::{
    rows::{EventRow, read_event},
    writer::Writer,
};
use super::{OpenError, Postgres};
use crate::{
    placement::{Drawn, Placement},
    window::Window,
};

/// How a store is set up.
#[derive(Debug, Clone, Default)]
pub struct StoreOptions {
    /// How long events can be read back from the log; `None` for ever. They stay in the store either way.
    pub retention: Option<Duration>,
}

/// An [`EventStore`], [`EventLog`](sluice_subscriptions::log::EventLog) and
/// [`Checkpoints`](sluice_subscriptions::log::Checkpoints) on PostgreSQL; any number of nodes open the same one.
pub struct PostgresStore {
    db: Postgres,
    shared: Arc<Shared>,
    writer: Writer,
    tasks: RwLock<Vec<AbortOnDropHandle<()>>>,
}

/// What the tasks tell the readers.
struct Shared {
    placement: Placement,
    heads: watch::Sender<ReadVector>,
    earliest: watch::Sender<ReadVector>,
    /// What was written here or read last: the relay and the workers follow the head.
    window: Mutex<Window>,
    /// This node has committed something that others want to hear of.
    committed: Notify,
}

/// Bounds of each partition's part of the window.
const WINDOW_EVENTS: usize = 1024;
const WINDOW_BYTES: usize = 4 << 20;

impl Shared {
    fn window(&self) -> MutexGuard<'_, Window> {
        // A window is whole between two pushes, whoever panicked.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events of committed transactions, in order.
    fn keep<'e>(&self, events: impl IntoIterator<Item = &'e Arc<RecordedEvent>>) {
        let mut window = self.window();
        events.into_iter().for_each(|event| window.offer(event));
    }

    /// Heads only move on: what is told here was read or written in committed transactions, in whatever order.
    fn advance(&self, heads: &ReadVector) {
        self.heads.send_if_modified(|current| {
            let moved = !current.covers(heads);
            current.join(heads);
            moved
        });
    }
}

impl PostgresStore {
    /// Reads where the store is. Must be called within a tokio runtime.
    pub async fn open(db: &Postgres, options: StoreOptions) -> Result<Self, OpenError> {
        let placement = load_placement(db).await?;
        let heads = db.within(follow::read_heads(db.pool())).await.map_err(|why| db.failed(why))?;
        if heads.0.len() != usize::from(placement.partitions) {
            return Err(OpenError::Damaged { at: db.at().into(), what: "a partition has no head".into() });
        }
        let shared = Arc::new(Shared {
            earliest: watch::Sender::new(ReadVector::start(placement.partitions)),
            heads: watch::Sender::new(heads),
            window: Mutex::new(Window::new(placement.partitions, WINDOW_EVENTS, WINDOW_BYTES)),
            placement,
            committed: Notify::new(),
        });
        let mut tasks = vec![spawn(follow::run(db.clone(), Arc::downgrade(&shared)))];
        if let Some(retention) = options.retention {
            let now = Timestamp::now();
            retention::apply(db, &shared.heads, &shared.earliest, retention, now)
                .await
                .map_err(|why| db.failed(why))?;
            tasks.push(spawn(retention::run(db.clone(), shared.heads.clone(), shared.earliest.clone(), retention)));
        }
        let writer = Writer::start(db.clone(), shared.clone());
        Ok(Self { db: db.clone(), shared, writer, tasks: RwLock::new(tasks) })
    }

    /// Writes what is queued and closes the store's own connections; the database stays open. Appends that come later are
    /// refused.
    pub async fn close(&self) {
        self.writer.close().await;
        self.tasks.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The secret that record keys of the Kafka topic are made with.
    pub fn topic_key(&self) -> [u8; 32] {
        self.shared.placement.derived_secret("kafka key")
    }

    /// Draws a new epoch in place of this value's, for a topic that was made anew; `false` where another node was first. This
    /// value's own stays, and so do those of other nodes: their processes must start again.
    pub async fn renew_epoch(&self) -> Result<bool, StoreUnavailable> {
        let drawn = Drawn::draw().ok_or_else(|| unavailable("the system gives no random numbers"))?;
        let update = sqlx::query("UPDATE sluice.log SET epoch = $1 WHERE epoch = $2")
            .bind(drawn.epoch)
            .bind(self.shared.placement.epoch.0.to_be_bytes());
        let updated = self.db.within(update.execute(self.db.pool())).await.map_err(unavailable)?;
        Ok(updated.rows_affected() == 1)
    }

    /// The epoch that the database names now: another one than this value's once some node has renewed it.
    pub async fn stored_epoch(&self) -> Result<Epoch, StoreUnavailable> {
        let query = sqlx::query_scalar::<_, Vec<u8>>("SELECT epoch FROM sluice.log");
        let epoch = self.db.within(query.fetch_one(self.db.pool())).await.map_err(unavailable)?;
        let epoch = epoch.try_into().map_err(|_| unavailable("the log's epoch is damaged"))?;
        Ok(Epoch(u64::from_be_bytes(epoch)))
    }

    /// Makes events unreadable as a log that were published more than `retention` before `now`, and stops nothing else.
    /// The store does so by itself from time to time, where its options name a retention.
    pub async fn apply_retention(&self, retention: Duration, now: Timestamp) -> Result<(), StoreUnavailable> {
        let Shared { heads, earliest, .. } = &*self.shared;
        retention::apply(&self.db, heads, earliest, retention, now).await.map_err(unavailable)
    }

    fn read_events(&self, rows: Vec<EventRow>) -> Result<Vec<Arc<RecordedEvent>>, StoreUnavailable> {
        rows.into_iter().map(|row| read_event(&self.shared.placement, row).map_err(unavailable)).collect()
    }
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

async fn load_placement(db: &Postgres) -> Result<Placement, OpenError> {
    let query = sqlx::query_as::<_, (Vec<u8>, Vec<u8>, i32)>("SELECT epoch, secret, partitions FROM sluice.log");
    let row = db.within(query.fetch_optional(db.pool())).await.map_err(|why| db.failed(why))?;
    let (epoch, secret, partitions) = row.ok_or_else(|| OpenError::NotMigrated { at: db.at().into() })?;
    Placement::of_stored(&epoch, &secret, partitions.into())
        .map_err(|what| OpenError::Damaged { at: db.at().into(), what: what.into() })
}

const LOAD: &str = "SELECT partition, seq, version, header, payload FROM sluice.events
     WHERE tenant = $1 AND stream = $2 ORDER BY version";

const CURRENT: &str = "SELECT w.place, e.partition, e.seq, e.version, e.header, e.payload
     FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS w (entity_type, entity_id, place)
     JOIN sluice.current_states c ON c.tenant = $1 AND c.entity_type = w.entity_type AND c.entity_id = w.entity_id
     JOIN sluice.events e ON e.partition = c.partition AND e.seq = c.seq";

/// A page behind an id is a statement of its own, so that the index leads to its beginning.
macro_rules! list {
    ($behind:literal) => {
        concat!(
            "SELECT e.partition, e.seq, e.version, e.header, e.payload
             FROM sluice.current_states c JOIN sluice.events e ON e.partition = c.partition AND e.seq = c.seq
             WHERE c.tenant = $1 AND c.entity_type = $2 AND c.routing_kind = $3 AND c.routing_id = $4 ",
            $behind,
            " ORDER BY c.entity_id DESC LIMIT $5"
        )
    };
}

const LIST: &str = list!("");
const LIST_BEHIND: &str = list!("AND c.entity_id < $6");

#[async_trait]
impl EventStore for PostgresStore {
    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        self.writer.submit(appends).await
    }

    async fn load(&self, tenant: &TenantId, stream: &StreamId) -> Result<Vec<Arc<RecordedEvent>>, StoreUnavailable> {
        let query = sqlx::query_as(LOAD).bind(tenant.as_str()).bind(stream.as_str());
        let rows = self.db.within(query.fetch_all(self.db.pool())).await.map_err(unavailable)?;
        self.read_events(rows)
    }

    async fn current(
        &self,
        tenant: &TenantId,
        entities: &[Subject],
    ) -> Result<Vec<Option<Arc<RecordedEvent>>>, StoreUnavailable> {
        let query = sqlx::query_as::<_, (i64, i32, i64, i64, Vec<u8>, Vec<u8>)>(CURRENT)
            .bind(tenant.as_str())
            .bind(entities.iter().map(|entity| entity.r#type.as_str()).collect::<Vec<_>>())
            .bind(entities.iter().map(|entity| entity.id.as_str()).collect::<Vec<_>>());
        let rows = self.db.within(query.fetch_all(self.db.pool())).await.map_err(unavailable)?;
        let mut found = vec![None; entities.len()];
        for (place, partition, seq, version, header, payload) in rows {
            let event = read_event(&self.shared.placement, (partition, seq, version, header, payload));
            let slot = usize::try_from(place - 1).ok().and_then(|index| found.get_mut(index));
            if let Some(slot) = slot {
                *slot = Some(event.map_err(unavailable)?);
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
        let query = sqlx::query_as(if page.after.is_some() { LIST_BEHIND } else { LIST })
            .bind(tenant.as_str())
            .bind(entity_type)
            .bind(routing_key.kind)
            .bind(&routing_key.id)
            .bind(i64::try_from(page.limit).unwrap_or(i64::MAX));
        let query = if let Some(after) = &page.after { query.bind(after) } else { query };
        let rows = self.db.within(query.fetch_all(self.db.pool())).await.map_err(unavailable)?;
        self.read_events(rows)
    }

    fn heads(&self) -> ReadVector {
        self.shared.heads.borrow().clone()
    }
}

fn unavailable(why: impl std::fmt::Display) -> StoreUnavailable {
    StoreUnavailable(why.to_string())
}
