//! What the log's threads tell each other and the readers.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use sluice_schema::{
    event::RecordedEvent,
    position::{Epoch, Partition, ReadVector, Seq},
};
use tokio::sync::watch;

use super::LogOptions;
use crate::{
    kafka::{KafkaOptions, record::Place},
    window::Window,
};

pub(super) const SHORTER: &str = "the topic ends before what was read from it: it was made anew or has lost events; start again and see what the relay says";

pub(super) const OTHER_EPOCH: &str =
    "the topic holds events of another store: name another topic, or remove this one so that it is made anew";

pub(super) struct Shared {
    pub(super) kafka: KafkaOptions,
    pub(super) epoch: Epoch,
    pub(super) partitions: Partition,
    pub(super) heads: watch::Sender<ReadVector>,
    /// As far as is known; only `earliest` asks anew.
    pub(super) earliest: watch::Sender<ReadVector>,
    recent: Mutex<Recent>,
    failed: watch::Sender<Option<String>>,
    closed: AtomicBool,
    /// Live reading stands still although there is more: it has to make a new client.
    renew: AtomicBool,
}

/// What live reading has seen.
struct Recent {
    window: Window,
    /// The last new record of each partition.
    last: Vec<Option<Place>>,
    /// The offset that each partition is read from next.
    next: Vec<i64>,
}

impl Shared {
    pub(super) fn new(kafka: KafkaOptions, epoch: Epoch, partitions: Partition, options: LogOptions) -> Self {
        let recent = Recent {
            window: Window::new(partitions, options.window_events, options.window_bytes),
            last: vec![None; partitions.into()],
            next: vec![0; partitions.into()],
        };
        Self {
            kafka,
            epoch,
            partitions,
            heads: watch::Sender::new(ReadVector::start(partitions)),
            earliest: watch::Sender::new(ReadVector::start(partitions)),
            recent: Mutex::new(recent),
            failed: watch::Sender::new(None),
            closed: AtomicBool::new(false),
            renew: AtomicBool::new(false),
        }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        // It is whole between two calls, whoever panicked.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The events first, then the heads: no head is ever past what can be read.
    pub(super) fn publish(&self, events: Vec<(Arc<RecordedEvent>, i64)>, next: impl Iterator<Item = i64>) {
        let mut heads = self.heads.borrow().clone();
        {
            let mut recent = self.recent();
            recent.next = next.collect();
            for (event, offset) in events {
                let (partition, seq) = (event.position.partition, event.position.seq);
                heads.advance(partition, seq);
                if let Some(last) = recent.last.get_mut(usize::from(partition)) {
                    *last = Some(Place { offset, seq });
                }
                recent.window.push(event);
            }
        }
        self.advance_heads(heads);
    }

    pub(super) fn advance_heads(&self, heads: ReadVector) {
        self.heads.send_if_modified(|current| {
            let moved = *current != heads;
            *current = heads;
            moved
        });
    }

    /// From memory; `None` where Kafka has to be asked.
    pub(super) fn window(&self, partition: Partition, after: Seq, limit: usize) -> Option<Vec<Arc<RecordedEvent>>> {
        self.recent().window.read(partition, after, limit)
    }

    /// Some record of a partition, if one was seen.
    pub(super) fn last_place(&self, partition: Partition) -> Option<Place> {
        self.recent().last.get(usize::from(partition)).copied().flatten()
    }

    pub(super) fn next_offsets(&self) -> Vec<i64> {
        self.recent().next.clone()
    }

    pub(super) fn head(&self, partition: Partition) -> Seq {
        self.heads.borrow().get(partition)
    }

    /// The log can't be true any more. The first reason stays.
    pub(super) fn fail(&self, why: String) {
        self.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            if first {
                tracing::error!("the log has failed: {why}");
                *failed = Some(why);
            }
            first
        });
    }

    pub(super) fn failure(&self) -> watch::Receiver<Option<String>> {
        self.failed.subscribe()
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Why nothing can be read any more.
    pub(super) fn over(&self) -> Option<String> {
        if self.closed.load(Ordering::Acquire) {
            return Some("the log is closed".into());
        }
        self.failed.borrow().clone()
    }

    pub(super) fn order_renewal(&self) {
        self.renew.store(true, Ordering::Release);
    }

    pub(super) fn renewal_ordered(&self) -> bool {
        self.renew.swap(false, Ordering::AcqRel)
    }
}
