//! The engine: from the log to every subscriber, through access and audit, in one routing order.
//!
//! One task for each core, a [`shard`], reads the log, routes each event to those subscriptions that it has, decides for each of
//! them, renders once for each class of subscribers who see the same, has it audited, and hands it over. A subscription that is
//! behind, or whose event could not be decided or audited, is [caught up](catch_up) by a task of its own, alone, until it is
//! where its shard is.

mod audiences;
mod batch;
mod catch_up;
mod classes;
mod ends;
mod expirations;
mod poll;
mod revoke;
mod shard;
mod start;
mod subscription;
mod under_way;
mod window;

#[cfg(test)]
mod tests;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sluice_schema::{
    access::Label,
    channel::ChannelPattern,
    event::RecordedEvent,
    ids::MemberId,
    position::{Cursor, ReadVector},
    viewer::Viewer,
};
use tokio::{
    runtime::Handle as Runtime,
    sync::{Semaphore, SemaphorePermit, mpsc, oneshot, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    batch::Entry,
    catch_up::CatchUp,
    ends::Ends,
    shard::Command,
    subscription::Live,
    under_way::UnderWay,
    window::{Bounds, Window},
};
pub use self::{poll::Polled, subscription::Handle};
use crate::{
    access::{Access, Affected},
    audit::AuditTrail,
    deliver::Subscriber,
    log::EventLog,
    opened::{OpenedEvent, PayloadKeys},
    relationships::Touched,
    render::{Interned, Projection},
};

/// What the engine works with.
#[derive(Clone)]
pub struct Parts {
    pub log: Arc<dyn EventLog>,
    pub access: Arc<Access>,
    pub audit: Arc<dyn AuditTrail>,
    pub keys: Arc<dyn PayloadKeys>,
    /// How long the audit trail may take before a delivery is held.
    pub audit_deadline: Duration,
}

/// Where a subscription begins.
#[derive(Debug, Clone)]
pub enum Start {
    /// With the next event.
    Live,
    /// Behind a cursor.
    After(Cursor),
    /// With the current state, then with everything behind `from`, a place that was taken before the state was read.
    Snapshot { from: ReadVector, state: Option<Arc<RecordedEvent>> },
}

/// A subscription to begin.
pub struct Subscribe {
    pub viewer: Arc<Viewer>,
    pub pattern: ChannelPattern,
    pub projection: Arc<dyn Projection>,
    pub start: Start,
    pub subscriber: Arc<dyn Subscriber>,
    /// The wire protocol's name, for the audit trail.
    pub transport: &'static str,
    /// What it stands and falls with, beside each event; `None` where it is for whatever comes.
    pub root: Option<Root>,
}

/// The one member whose events a subscription is for. When this viewer may not see her any more, it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    pub member: MemberId,
    /// What she has to be open by.
    pub label: Label,
    /// [`Access::told`] before it was decided that it may begin.
    pub since: u64,
}

/// The running engine; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What the shards, the subscriptions that catch up and the engine's callers share.
struct Shared {
    parts: Parts,
    /// Never empty.
    shards: Box<[ShardRef]>,
    projections: Interned,
    /// Where subscriptions are caught up; a shard may run elsewhere.
    runtime: Runtime,
    tasks: TaskTracker,
    ends: Ends,
    /// Appends what `ends` are told. It outlives the tasks.
    recorder: TaskTracker,
    /// What those that catch up decide and hand over.
    under_way: UnderWay,
    /// How many of those that catch up may be at work at a time: a crowd that comes back must not hold up what is live.
    turns: Semaphore,
    next_id: AtomicU64,
    shutdown: CancellationToken,
}

/// How many may catch up at a time. The audit trail commits what they deliver together.
const TURNS: usize = 32;

/// A shard as others see it.
struct ShardRef {
    commands: mpsc::UnboundedSender<Command>,
    /// Its read vector: everything that it covers was handed to all subscribers that are attached to it.
    progress: watch::Sender<ReadVector>,
    recent: Mutex<Window>,
}

impl ShardRef {
    /// What it routed last. It waits for whoever looks: nobody does so for long.
    fn recent(&self) -> MutexGuard<'_, Window> {
        // It is whole between two calls, whoever panicked.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Within a runtime: makes an engine that begins at the log's head, and the tasks that drive it until `shutdown`: so many shards, each on a
    /// core of its own where there are as many. Subscriptions are spread over them.
    pub fn new(
        parts: Parts,
        shards: NonZeroUsize,
        shutdown: CancellationToken,
    ) -> (Self, Vec<impl Future<Output = ()> + Send + 'static>) {
        let head = parts.log.heads().borrow().clone();
        let open = |_| {
            let (commands, queue) = mpsc::unbounded_channel();
            let recent = Mutex::new(Window::new(head.clone(), Bounds::default()));
            (ShardRef { commands, progress: watch::Sender::new(head.clone()), recent }, queue)
        };
        let (shards, queues): (Vec<_>, Vec<_>) = (0..shards.get()).map(open).unzip();
        let (tasks, recorder) = (TaskTracker::new(), TaskTracker::new());
        let (ends, told) = Ends::channel();
        recorder.spawn(ends::record(parts.clone(), told, tasks.clone(), shutdown.clone()));
        let shared = Arc::new(Shared {
            parts,
            shards: shards.into(),
            projections: Interned::default(),
            runtime: Runtime::current(),
            tasks,
            ends,
            recorder,
            under_way: UnderWay::default(),
            turns: Semaphore::new(TURNS),
            next_id: AtomicU64::new(0),
            shutdown,
        });
        let run = |(number, queue)| shared.tasks.track_future(shard::run(shared.clone(), number, queue, head.clone()));
        let tasks = queues.into_iter().enumerate().map(run).collect();
        (Self { shared }, tasks)
    }

    /// After shutdown: waits until all that ended with it is recorded, or can't be.
    pub async fn over(&self) {
        self.shared.recorder.close();
        self.shared.recorder.wait().await;
    }

    /// Where all shards are. Taken before a state is read, it is where a subscription to that state goes on.
    pub fn place(&self) -> ReadVector {
        let mut place = self.shared.shards[0].progress.borrow().clone();
        for shard in &self.shared.shards[1..] {
            let progress = shard.progress.borrow();
            place.0.iter_mut().zip(&progress.0).for_each(|(seq, other)| *seq = (*seq).min(*other));
        }
        place
    }

    /// Where the shards are, once they have come as far as all that was acknowledged before the call: at once, where the log is
    /// the store itself. It is not waited for longer than `at_most`, as when the log can't be fed.
    pub async fn settled(&self, at_most: Duration) -> ReadVector {
        let settle = async {
            let acknowledged = self.shared.parts.log.acknowledged().await.ok()?;
            for shard in &self.shared.shards {
                shard.progress.subscribe().wait_for(|progress| progress.covers(&acknowledged)).await.ok()?;
            }
            Some(())
        };
        // Whatever came of it, the place is a true one.
        let _ = tokio::time::timeout(at_most, settle).await;
        self.place()
    }

    /// Waits until every change that was told before this call is heeded: attached subscriptions that stand and fall with it have
    /// ended, and what was decided before has left, or will not leave any more. Neither a decision nor a record takes longer than it is waited
    /// for; one that does is held.
    pub async fn handed_over(&self) {
        let Parts { access, audit_deadline, .. } = &self.shared.parts;
        let at_most = 2 * (access.event_deadline() + *audit_deadline);
        let ask = |shard: &ShardRef| {
            let (answer, handed_over) = oneshot::channel();
            // One that is gone hands nothing over.
            let _ = shard.commands.send(Command::Tell(answer));
            handed_over
        };
        let asked: Vec<_> = self.shared.shards.iter().map(ask).collect();
        let all = async {
            for one in asked {
                let _ = one.await;
            }
            self.shared.under_way.begun_before_now().await;
        };
        let _ = tokio::time::timeout(at_most, all).await;
    }

    /// A place as a cursor of this log.
    pub fn cursor(&self, vector: ReadVector) -> Cursor {
        self.shared.cursor(&vector)
    }
}

impl Shared {
    fn cursor(&self, vector: &ReadVector) -> Cursor {
        Cursor { epoch: self.parts.log.epoch(), vector: vector.clone() }
    }

    fn entry(&self, event: Arc<OpenedEvent>, vector: &ReadVector, subscriptions: Vec<Arc<Live>>) -> Entry {
        Entry { event, vector: vector.clone(), cursor: self.cursor(vector).to_string(), subscriptions }
    }

    fn begin(self: &Arc<Self>, live: Arc<Live>, vector: ReadVector, state: Option<Arc<RecordedEvent>>) {
        self.tasks.spawn_on(CatchUp::new(self.clone(), live, vector, state).run(), &self.runtime);
    }

    /// After changes: what those whom they touch were given before, and has not left, leaves within a moment or not at all.
    fn recall<'l>(self: &Arc<Self>, touched: &[Touched], lives: impl Iterator<Item = &'l Arc<Live>>) {
        let affected = Affected::by(touched);
        for live in lives.filter(|live| live.is_affected(&affected)) {
            if let Some(recalled) = live.subscriber.recall() {
                let under_way = self.under_way.begin();
                let recalled = async move {
                    recalled.await;
                    drop(under_way);
                };
                self.tasks.spawn_on(recalled, &self.runtime);
            }
        }
    }

    /// The same after the changes that were told behind so many.
    fn recall_since<'l>(self: &Arc<Self>, told: u64, lives: impl Iterator<Item = &'l Arc<Live>>) {
        let touched = self.parts.access.told_since(told);
        if !touched.is_empty() {
            self.recall(&touched, lives);
        }
    }

    /// Waits until it may work.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.turns.acquire().await.ok()
    }

    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The one that a subscription is of.
    fn shard(&self, live: &Live) -> &ShardRef {
        // Less than their number, whatever the id.
        &self.shards[(live.id % self.shards.len() as u64) as usize]
    }
}
