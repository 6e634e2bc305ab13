//! What one client asked for and is under way.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use sluice_schema::{
    error::{ClientError, Code},
    position::Cursor,
    viewer::Viewer,
};
use sluice_subscriptions::audit::EndReason;
use tokio::{sync::Semaphore, task::AbortHandle};
use tokio_util::task::TaskTracker;

use super::{
    super::{
        Gate, GraphqlRequest, OperationType, Parsed, Subscription, Transport,
        router::Context,
        starts::Starts,
        viewers::{Held, Viewers},
    },
    durable::Durable,
    outbox::{Feed, Outbox, Outgoing, Stream},
    protocol::{Delivery, Operation},
};

/// The operations of one socket. Results go into the outbox; a subscription that runs holds no task here.
pub(super) struct Operations {
    gate: Arc<dyn Gate>,
    outbox: Arc<Outbox>,
    tasks: TaskTracker,
    permits: Semaphore,
    starts: Arc<Starts>,
    viewers: Arc<Viewers>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// By their numbers. Few: mostly one, and idle sockets are many.
    running: Vec<(u64, Running)>,
    /// Nothing more begins.
    ended: bool,
}

/// Dropping it ends the operation, a mutation excepted: that is never cut off half-way.
struct Running {
    /// The client's own.
    id: Arc<str>,
    stream: Arc<Stream>,
    abort: Option<AbortHandle>,
    kind: Kind,
}

impl Running {
    fn ends_because(&self, why: EndReason) {
        if let Kind::Live(live) = &self.kind {
            live.ends_because(why);
        }
    }
}

enum Kind {
    Execution,
    Starting,
    Live(Box<dyn Subscription>),
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stream.wanted.store(false, Ordering::Release);
        if let Some(abort) = &self.abort {
            abort.abort();
        }
    }
}

impl Operations {
    /// At most `max_concurrency` executions and starts run at once.
    pub(super) fn new(context: &Context, outbox: Arc<Outbox>) -> Self {
        let concurrency = context.config.max_concurrency.min(Semaphore::MAX_PERMITS);
        Self {
            gate: Arc::clone(&context.gate),
            outbox,
            tasks: context.tasks.clone(),
            permits: Semaphore::new(concurrency),
            starts: Arc::clone(&context.starts),
            viewers: Arc::clone(&context.viewers),
            table: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `durable`: of a client that goes by a name.
    pub(super) fn start(
        self: &Arc<Self>,
        viewer: Arc<Viewer>,
        durable: Option<Arc<Durable>>,
        operation: Operation,
        request: GraphqlRequest,
    ) {
        let (parsed, held) = match self.admit(&viewer, request) {
            Ok(admitted) => admitted,
            Err(error) => return self.deliver(Delivery::Refused(operation, vec![error.to_graphql()])),
        };
        let kind = parsed.operation_type();
        let stream = Arc::new(Stream { head: operation.head.clone(), wanted: AtomicBool::new(true) });
        // Held until the entry is there: the task may be quick.
        let mut table = self.lock();
        if table.ended {
            return;
        }
        let (number, id) = (operation.number, Arc::clone(&operation.id));
        let operations = Arc::clone(self);
        let job = Job { operations, viewer, _held: held, durable, operation, parsed, stream: Arc::clone(&stream) };
        let task = self.tasks.spawn(job.run());
        let abort = (kind != OperationType::Mutation).then(|| task.abort_handle());
        let kind = if kind == OperationType::Subscription { Kind::Starting } else { Kind::Execution };
        table.running.push((number, Running { id, stream, abort, kind }));
    }

    /// What the viewer may begin now. A subscription that runs is bounded by the connection that it is on.
    fn admit(&self, viewer: &Viewer, request: GraphqlRequest) -> Result<(Box<dyn Parsed>, Option<Held>), ClientError> {
        self.viewers.begin(viewer).map_err(|busy| busy.error)?;
        let parsed = self.gate.parse(request)?;
        let held = match parsed.operation_type() {
            OperationType::Subscription => None,
            OperationType::Query | OperationType::Mutation => {
                Some(self.viewers.operate(viewer).map_err(|busy| busy.error)?)
            }
        };
        Ok((parsed, held))
    }

    /// The client wants no more of it.
    pub(super) fn stop(&self, operation: &Operation) {
        // Bound, so that it is dropped after the lock is given back.
        let stopped = {
            let running = &mut self.lock().running;
            let place = running.iter().position(|(number, _)| *number == operation.number);
            place.map(|place| running.swap_remove(place))
        };
        stopped.iter().for_each(|(_, running)| running.ends_because(EndReason::Completed));
        drop(stopped);
    }

    /// All of them, and for good: one that waits for its turn, or is asked for later, does not begin.
    pub(super) fn end(&self, why: EndReason) {
        let stopped = std::mem::replace(&mut *self.lock(), Table { running: Vec::new(), ended: true });
        stopped.running.iter().for_each(|(_, running)| running.ends_because(why));
        drop(stopped);
    }

    /// The ids of all subscriptions, if each of them was handed all there is up to `progress`; `None` where one was not, or
    /// there is none. A subscription that the client has sent and this server has not read is not among them, which is why
    /// a client has to be told whom a progress is true for.
    pub(super) fn reached(&self, progress: &Cursor) -> Option<Vec<String>> {
        let mut ids = Vec::new();
        for (_, running) in &self.lock().running {
            match &running.kind {
                Kind::Execution => {}
                Kind::Live(live) if has_reached(live.as_ref(), progress) => ids.push(running.id.to_string()),
                Kind::Starting | Kind::Live(_) => return None,
            }
        }
        ids.sort_unstable();
        Some(ids).filter(|ids| !ids.is_empty())
    }

    /// Keeps the subscription, unless it was stopped while it started.
    fn keep(&self, number: u64, live: Box<dyn Subscription>) {
        let unwanted = match self.lock().running.iter_mut().find(|(other, _)| *other == number) {
            Some((_, running)) => {
                running.kind = Kind::Live(live);
                running.abort = None;
                None
            }
            None => Some(live),
        };
        drop(unwanted);
    }

    fn deliver(&self, delivery: Delivery) {
        // A queue that takes no more belongs to a client that is told to resume.
        let _ = self.outbox.push(Outgoing::Result(delivery));
        self.outbox.flush();
    }
}

fn has_reached(live: &dyn Subscription, progress: &Cursor) -> bool {
    live.place().is_some_and(|place| place.epoch == progress.epoch && place.vector.covers(&progress.vector))
}

struct Job {
    operations: Arc<Operations>,
    viewer: Arc<Viewer>,
    /// Until it has run; of a mutation whatever becomes of its client.
    _held: Option<Held>,
    durable: Option<Arc<Durable>>,
    operation: Operation,
    parsed: Box<dyn Parsed>,
    stream: Arc<Stream>,
}

impl Job {
    async fn run(self) {
        let _fault = Fault { operations: Arc::clone(&self.operations), operation: self.operation.clone() };
        let operations = Arc::clone(&self.operations);
        let Ok(_permit) = operations.permits.acquire().await else { return };
        if !self.stream.wanted.load(Ordering::Acquire) {
            return;
        }
        match self.parsed.operation_type() {
            OperationType::Subscription => self.subscribe().await,
            OperationType::Query | OperationType::Mutation => {
                let answer = self.parsed.execute(self.viewer, Transport::GraphqlWs).await;
                operations.deliver(Delivery::Answer(self.operation, answer));
            }
        }
    }

    async fn subscribe(self) {
        let Self { operations, viewer, durable, operation, parsed, stream, _held } = self;
        let Some(_turn) = operations.starts.turn(&viewer).await else { return };
        let behind = match &durable {
            Some(durable) => durable.begins_behind().await,
            None => Ok(None),
        };
        let behind = match behind {
            Ok(behind) => behind,
            Err(error) => return operations.deliver(Delivery::Refused(operation, vec![error.to_graphql()])),
        };
        let feed = Feed { outbox: Arc::clone(&operations.outbox), operation: operation.clone(), stream };
        match parsed.subscribe(viewer, Transport::GraphqlWs, Arc::new(feed), behind).await {
            Ok(live) => {
                if let Some(place) = live.place() {
                    operations.outbox.begins_at(&place.vector);
                }
                operations.keep(operation.number, live);
            }
            Err(errors) => operations.deliver(Delivery::Refused(operation, errors)),
        }
    }
}

/// Answers an operation whose task panicked; the other operations go on.
struct Fault {
    operations: Arc<Operations>,
    operation: Operation,
}

impl Drop for Fault {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = ClientError::new(Code::Internal, "A fault of ours; it is unknown what was done.");
            self.operations.deliver(Delivery::Refused(self.operation.clone(), vec![error.to_graphql()]));
        }
    }
}
