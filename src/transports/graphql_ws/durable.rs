//! A client that has given itself a name: where it continues when it comes back without any memory of its own.

mod waiting;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sluice_schema::{
    error::{ClientError, Code},
    ids::SubscriptionName,
    position::Cursor,
    viewer::Viewer,
};
use sluice_subscriptions::subscribers::moved_on;
use tokio_util::task::TaskTracker;

use self::waiting::{Full, Step, Waiting};
use super::{
    super::{
        Gate,
        router::Context,
        viewers::{Busy, Viewers},
    },
    outbox::{Outbox, Outgoing, Status},
    protocol::Delivery,
};

/// The durable side of one socket.
pub(super) struct Durable {
    gate: Arc<dyn Gate>,
    tasks: TaskTracker,
    viewers: Arc<Viewers>,
    outbox: Arc<Outbox>,
    viewer: Arc<Viewer>,
    name: SubscriptionName,
    /// Behind which subscriptions go on that do not say it themselves; `None` in the name's first session.
    behind: Mutex<Option<Cursor>>,
    /// Whether it is on record where the name's first session began.
    begun: AtomicBool,
    waiting: Mutex<Waiting>,
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
            viewers: context.viewers.clone(),
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
        self.join(Step::Acknowledge(cursor), usize::from(answer));
    }

    /// Gives the name up.
    pub(super) fn forget(self: &Arc<Self>) {
        self.join(Step::Forget, 1);
    }

    fn join(self: &Arc<Self>, step: Step, answers: usize) {
        let forgets = step == Step::Forget;
        let joined = self.waiting().join(step, answers);
        match joined {
            Ok(true) => drop(self.tasks.spawn(self.clone().write_all())),
            Ok(false) => {}
            Err(Full) => self.answer(answers, || refused(forgets, full())),
        }
    }

    /// One write at a time, and each of them an operation that the viewer begins.
    async fn write_all(self: Arc<Self>) {
        while let Some(forgets) = self.next_forgets() {
            match self.viewers.start(&self.viewer) {
                Ok(_held) => self.write().await,
                Err(Busy { error, .. }) if forgets => self.refuse(error),
                // Who acknowledges has no answer yet, and what is acknowledged meanwhile joins it.
                Err(Busy { retry, .. }) => self.pause(retry).await,
            }
        }
    }

    /// Whether what is to be written next gives the name up; `None` where there is nothing.
    fn next_forgets(&self) -> Option<bool> {
        self.waiting().first().map(|step| *step == Step::Forget)
    }

    /// Nothing waits for its turn any longer than its client is there: it was told of nothing, so it loses nothing.
    async fn pause(&self, retry: Duration) {
        tokio::time::sleep(retry).await;
        if !matches!(self.outbox.status(), Status::Open { .. } | Status::Overflown) {
            self.waiting().clear();
        }
    }

    async fn write(&self) {
        let Some((step, answers)) = self.take() else { return };
        match step {
            Step::Acknowledge(cursor) => {
                let written = self.gate.acknowledge(&self.viewer, &self.name, &cursor).await;
                if written.is_ok() {
                    self.is_further(&cursor);
                }
                let written = written.map(|()| cursor);
                self.answer(answers, || Delivery::Acknowledged(written.clone()));
            }
            Step::Forget => {
                let forgotten = self.gate.forget(&self.viewer, &self.name).await;
                if forgotten.is_ok() {
                    self.begins_anew();
                }
                self.answer(answers, || Delivery::Forgotten(forgotten.clone()));
            }
        }
    }

    fn take(&self) -> Option<(Step, usize)> {
        self.waiting().take()
    }

    fn refuse(&self, error: ClientError) {
        if let Some((step, answers)) = self.take() {
            self.answer(answers, || refused(step == Step::Forget, error.clone()));
        }
    }

    fn answer(&self, answers: usize, delivery: impl Fn() -> Delivery) {
        (0..answers).for_each(|_| self.tell(delivery()));
    }

    fn is_further(&self, cursor: &Cursor) {
        self.begun.store(true, Ordering::Release);
        let mut behind = self.behind();
        if let Some(moved) = behind.as_ref().and_then(|before| moved_on(Some(before), cursor)) {
            *behind = Some(moved);
        }
    }

    /// The name is free: the next subscription is its first.
    fn begins_anew(&self) {
        *self.behind() = None;
        self.begun.store(false, Ordering::Release);
    }
}

fn refused(forgets: bool, error: ClientError) -> Delivery {
    if forgets { Delivery::Forgotten(Err(error)) } else { Delivery::Acknowledged(Err(error)) }
}

fn full() -> ClientError {
    let text = "Too much of what you sent by pings waits to be written: wait for the answers.";
    ClientError::new(Code::LimitExceeded, text)
}
