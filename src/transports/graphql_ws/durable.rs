//! A client that has given itself a name: where it continues when it comes back without any memory of its own.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use sluice_schema::{error::ClientError, ids::SubscriptionName, position::Cursor, viewer::Viewer};
use sluice_subscriptions::subscribers::moved_on;
use tokio_util::task::TaskTracker;

use super::{
    super::{Gate, router::Context},
    outbox::{Outbox, Outgoing},
    protocol::Delivery,
};

/// The durable side of one socket.
pub(super) struct Durable {
    gate: Arc<dyn Gate>,
    tasks: TaskTracker,
    outbox: Arc<Outbox>,
    viewer: Arc<Viewer>,
    name: SubscriptionName,
    /// Behind which subscriptions go on that do not say it themselves; `None` in the name's first session.
    behind: Mutex<Option<Cursor>>,
    /// Whether it is on record where the name's first session began.
    begun: AtomicBool,
    waiting: Mutex<Waiting>,
}

/// What the client has acknowledged while the one before is written: however much it is, it is one more.
#[derive(Default)]
struct Waiting {
    writing: bool,
    cursor: Option<Cursor>,
    /// How many of the client's pings are to be answered.
    answers: usize,
}

impl Durable {
    /// Looks up where the client was, and tells the state machine.
    pub(super) fn recall(
        context: &Context,
        outbox: Arc<Outbox>,
        viewer: Arc<Viewer>,
        name: SubscriptionName,
    ) -> Arc<Self> {
        let durable = Arc::new(Self {
            gate: context.gate.clone(),
            tasks: context.tasks.clone(),
            outbox,
            viewer,
            name,
            behind: Mutex::default(),
            begun: AtomicBool::new(false),
            waiting: Mutex::default(),
        });
        let recalling = durable.clone();
        durable.tasks.spawn(async move {
            let last = recalling.gate.last_acknowledged(&recalling.viewer, &recalling.name).await;
            if let Ok(cursor) = &last {
                recalling.behind().clone_from(cursor);
            }
            recalling.tell(Delivery::Recalled(recalling.name.clone(), last.map_err(|error| error.code)));
        });
        durable
    }

    fn behind(&self) -> MutexGuard<'_, Option<Cursor>> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, delivery: Delivery) {
        // A queue that takes no more belongs to a client that is told to resume.
        let _ = self.outbox.push(Outgoing::Result(delivery));
        self.outbox.flush();
    }

    /// Where a subscription that does not say it begins. In the first session that is as without a name, and it is on record
    /// before anything is delivered: a client that is gone before its first acknowledgement misses nothing.
    ///
    /// # Errors
    /// That can't be put on record.
    pub(super) async fn begins_behind(&self) -> Result<Option<Cursor>, ClientError> {
        let behind = self.behind().clone();
        if behind.is_none() && !self.begun.load(Ordering::Acquire) {
            self.gate.acknowledge(&self.viewer, &self.name, &self.gate.progress()).await?;
            self.begun.store(true, Ordering::Release);
        }
        Ok(behind)
    }

    /// The client is done with everything up to here. `answer`: whether it is told when that is durable.
    pub(super) fn acknowledge(self: &Arc<Self>, cursor: Cursor, answer: bool) {
        let mut waiting = self.waiting();
        waiting.cursor = match waiting.cursor.take() {
            Some(before) => moved_on(Some(&before), &cursor).or(Some(before)),
            None => Some(cursor),
        };
        waiting.answers += usize::from(answer);
        if !std::mem::replace(&mut waiting.writing, true) {
            drop(waiting);
            self.tasks.spawn(self.clone().write_all());
        }
    }

    /// One write at a time.
    async fn write_all(self: Arc<Self>) {
        while let Some((cursor, answers)) = self.next() {
            let written = self.gate.acknowledge(&self.viewer, &self.name, &cursor).await;
            if written.is_ok() {
                self.begun.store(true, Ordering::Release);
                let mut behind = self.behind();
                if let Some(moved) = behind.as_ref().and_then(|before| moved_on(Some(before), &cursor)) {
                    *behind = Some(moved);
                }
            }
            let written = written.map(|()| cursor);
            (0..answers).for_each(|_| self.tell(Delivery::Acknowledged(written.clone())));
        }
    }

    fn next(&self) -> Option<(Cursor, usize)> {
        let mut waiting = self.waiting();
        let cursor = waiting.cursor.take();
        waiting.writing = cursor.is_some();
        Some((cursor?, std::mem::take(&mut waiting.answers)))
    }

    /// Gives the name up.
    pub(super) fn forget(self: &Arc<Self>) {
        let durable = self.clone();
        self.tasks.spawn(async move {
            let forgotten = durable.gate.forget(&durable.viewer, &durable.name).await;
            durable.tell(Delivery::Forgotten(forgotten));
        });
    }
}
