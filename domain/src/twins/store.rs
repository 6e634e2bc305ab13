use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use jiff::Timestamp;
use sluice_schema::{
    event::{NewEvent, RecordedEvent, StreamId},
    ids::TenantId,
    position::{Epoch, Partition, Position, ReadVector},
    proto::header::{RoutingKey, Subject},
};

use crate::{
    publish::timestamp,
    store::{Append, AppendError, Appended, EventStore, Idempotency, MAX_EVENT_BYTES, Page, StoreUnavailable},
};

const PARTITIONS: Partition = 4;

/// Events in memory. [`MemoryStore::break_appends`] makes it a store that is away for a while.
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

struct Inner {
    heads: ReadVector,
    all: Vec<Arc<RecordedEvent>>,
    streams: HashMap<(TenantId, StreamId), Vec<Arc<RecordedEvent>>>,
    /// By entity id, so that a list is in order.
    current: BTreeMap<(TenantId, String, String), Arc<RecordedEvent>>,
    seen: HashMap<(TenantId, String, String), Idempotency>,
    breaks: u32,
    largest: usize,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            inner: Mutex::new(Inner {
                heads: ReadVector::start(PARTITIONS),
                all: Vec::new(),
                streams: HashMap::new(),
                current: BTreeMap::new(),
                seen: HashMap::new(),
                breaks: 0,
                largest: MAX_EVENT_BYTES,
            }),
        }
    }
}

impl MemoryStore {
    /// The next `times` appends answer `Unavailable` and write nothing.
    pub fn break_appends(&self, times: u32) {
        self.lock().breaks = times;
    }

    /// From now on events of more bytes are too large.
    pub fn limit_events(&self, largest: usize) {
        self.lock().largest = largest;
    }

    /// Every event of every tenant, in the order in which they were appended.
    pub fn events(&self) -> Vec<Arc<RecordedEvent>> {
        self.lock().all.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test panics with the lock")
    }
}

#[async_trait]
impl EventStore for MemoryStore {
    async fn append_many(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        // As a real store does: others may get in between.
        tokio::task::yield_now().await;
        let mut inner = self.lock();
        appends.into_iter().map(|append| inner.append(append)).collect()
    }

    async fn load(&self, tenant: &TenantId, stream: &StreamId) -> Result<Vec<Arc<RecordedEvent>>, StoreUnavailable> {
        Ok(self.lock().streams.get(&(tenant.clone(), stream.clone())).cloned().unwrap_or_default())
    }

    async fn current(
        &self,
        tenant: &TenantId,
        entities: &[Subject],
    ) -> Result<Vec<Option<Arc<RecordedEvent>>>, StoreUnavailable> {
        let inner = self.lock();
        let key = |entity: &Subject| (tenant.clone(), entity.r#type.clone(), entity.id.clone());
        Ok(entities.iter().map(|entity| inner.current.get(&key(entity)).cloned()).collect())
    }

    async fn list(
        &self,
        tenant: &TenantId,
        entity_type: &str,
        routing_key: &RoutingKey,
        page: &Page,
    ) -> Result<Vec<Arc<RecordedEvent>>, StoreUnavailable> {
        let inner = self.lock();
        let newest_first = inner.current.iter().rev().filter(|((of, kind, id), event)| {
            of == tenant
                && kind == entity_type
                && event.header.routing_key.as_ref() == Some(routing_key)
                && page.after.as_ref().is_none_or(|after| id < after)
        });
        Ok(newest_first.map(|(_, event)| event.clone()).take(page.limit).collect())
    }

    fn heads(&self) -> ReadVector {
        self.lock().heads.clone()
    }
}

impl Inner {
    fn append(&mut self, append: Append) -> Result<Appended, AppendError> {
        if self.breaks > 0 {
            self.breaks -= 1;
            return Err(AppendError::Unavailable("broken on purpose".into()));
        }
        append.fits(self.largest)?;
        let seen = append
            .idempotency
            .map(|record| ((append.tenant.clone(), record.scope.clone(), record.key.clone()), record));
        if let Some((key, record)) = &seen
            && let Some(first) = self.seen.get(key)
        {
            return self.repeated(first, record);
        }
        let stream = (append.tenant.clone(), append.stream);
        let actual = self.streams.get(&stream).map_or(0, |events| events.len() as u64);
        if actual != append.expected_version {
            return Err(AppendError::Conflict { actual });
        }
        let positions = append.events.into_iter().map(|event| self.record(&stream, event)).collect();
        self.seen.extend(seen);
        Ok(Appended::Fresh { positions, heads: self.heads.clone() })
    }

    fn repeated(&self, first: &Idempotency, now: &Idempotency) -> Result<Appended, AppendError> {
        if first.input_hash != now.input_hash {
            return Err(AppendError::IdempotencyConflict);
        }
        Ok(Appended::Repeated { result: first.result.clone(), heads: self.heads.clone() })
    }

    fn record(&mut self, stream: &(TenantId, StreamId), event: NewEvent) -> Position {
        let partition = partition(&stream.0, &event.header.routing_key);
        let seq = self.heads.get(partition) + 1;
        self.heads.advance(partition, seq);
        let position = Position { epoch: Epoch(1), partition, seq };
        let events = self.streams.entry(stream.clone()).or_default();
        let mut header = event.header;
        header.published_at = Some(timestamp(Timestamp::now()));
        let version = events.len() as u64 + 1;
        let recorded = Arc::new(RecordedEvent { position, version, header, payload: event.payload });
        events.push(recorded.clone());
        self.all.push(recorded.clone());
        if event.holds_state {
            let subject = recorded.subject();
            self.current.insert((stream.0.clone(), subject.r#type, subject.id), recorded);
        }
        position
    }
}

fn partition(tenant: &TenantId, routing_key: &Option<RoutingKey>) -> Partition {
    let mut hasher = DefaultHasher::new();
    (tenant, routing_key).hash(&mut hasher);
    (hasher.finish() % u64::from(PARTITIONS)) as Partition
}
