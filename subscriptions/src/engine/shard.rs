//! The task that routes every event, in one order, to the subscriptions attached to it.

mod deciding;

use std::sync::Arc;

use hashbrown::HashMap;
use sluice_schema::{event::RecordedEvent, position::ReadVector};
use tokio::{
    sync::{
        broadcast::{
            self,
            error::{RecvError, TryRecvError},
        },
        mpsc, oneshot,
    },
    time::{Instant, sleep_until},
};

use super::{
    Shared,
    batch::{self, Delivered, Ended, Entry, Reused},
    catch_up,
    expirations::Expirations,
    subscription::Live,
};
use crate::{
    audit::EndReason,
    log::{LogError, reader::Reader},
    opened::OpenedEvent,
    relationships::Touched,
    route::Index,
};

/// How many events are decided and audited together at most.
const BATCH: usize = 256;

/// How many commands are obeyed at once.
const TOGETHER: usize = 64;

/// How many events a subscription may still be behind when it attaches: the shard delivers them itself, so that one that
/// hears of everything catches up under load too.
const LAST_STEP: usize = 64;

pub(super) enum Command {
    /// A subscription that is caught up to this place.
    Attach(Join),
    Stop(u64),
    /// Tells that every change that was told before it was sent is heeded, and that everything that was decided before has been
    /// handed over.
    Tell(oneshot::Sender<()>),
}

pub(super) struct Join {
    pub(super) live: Arc<Live>,
    pub(super) vector: ReadVector,
    /// [`crate::access::Access::told`] when what it was given last was looked at.
    pub(super) told: u64,
    pub(super) answer: oneshot::Sender<Attached>,
}

impl Join {
    fn answer(self, attached: Attached) {
        // Whoever asked may be gone with the runtime; the subscription is where it belongs either way.
        let _ = self.answer.send(attached);
    }
}

/// What became of an attempt to attach.
pub(super) enum Attached {
    Yes,
    /// No: it still is too far behind, or could not be served. It stays with whoever asked.
    Behind,
}

struct Shard {
    shared: Arc<Shared>,
    /// Which of them.
    number: usize,
    /// Where the shard is, in its routing order.
    vector: ReadVector,
    subscriptions: HashMap<u64, Arc<Live>>,
    index: Index,
    reused: Reused,
    /// How many attached subscriptions use each projection.
    users: HashMap<Arc<str>, usize>,
    /// Changes after which it is not decided yet who goes on.
    undecided: Vec<Touched>,
    decide_at: Instant,
    /// When who goes on is to be decided although nothing changed.
    expirations: Expirations,
}

/// However it ended, so did all that it had.
impl Drop for Shard {
    fn drop(&mut self) {
        let in_order = self.shared.shutdown.is_cancelled();
        let why = if in_order { EndReason::Shutdown } else { EndReason::Failed };
        for live in self.subscriptions.values() {
            live.ends_because(why);
            live.end(&self.vector, None);
        }
    }
}

type Change = Arc<[Touched]>;

/// Runs until shutdown, or until the log has a hole.
pub(super) async fn run(
    shared: Arc<Shared>,
    number: usize,
    mut commands: mpsc::UnboundedReceiver<Command>,
    start: ReadVector,
) {
    let mut reader = Reader::new(shared.parts.log.clone(), start.clone());
    let mut shard = Shard {
        shared,
        number,
        vector: start,
        subscriptions: HashMap::new(),
        index: Index::default(),
        reused: Reused::default(),
        users: HashMap::new(),
        undecided: Vec::new(),
        decide_at: Instant::now(),
        expirations: Expirations::default(),
    };
    let mut changes = shard.shared.parts.access.changes();
    loop {
        let expires = shard.expirations.next();
        tokio::select! {
            // Not one before the other: a crowd that comes back must not hold up what is live.
            () = shard.shared.shutdown.cancelled() => return,
            Some(command) = commands.recv() => {
                let waiting = std::iter::from_fn(|| commands.try_recv().ok()).take(TOGETHER - 1);
                let together: Vec<_> = std::iter::once(command).chain(waiting).collect();
                if together.iter().any(|command| matches!(command, Command::Tell(_))) {
                    shard.heed_changes(waiting_changes(&mut changes)).await;
                }
                shard.obey(together).await;
            }
            changed = changes.recv() => match all_of(changed, &mut changes) {
                Some(touched) => shard.heed_changes(touched).await,
                None => return,
            },
            () = sleep_until(shard.decide_at), if !shard.undecided.is_empty() => shard.decide_anew(&[]).await,
            () = sleep_until(expires.unwrap_or(shard.decide_at)), if expires.is_some() => shard.decide_expired().await,
            batch = reader.next_batch(BATCH) => match batch {
                Ok(events) => shard.route(events).await,
                Err(LogError::Unavailable(why)) => catch_up::back_off("the log can't be read", &why).await,
                Err(gap @ LogError::Gap { .. }) => {
                    // The shard reads at the head, so a gap there means that the log lost what it had promised.
                    tracing::error!(%gap, "the log has a hole at its head; live delivery stops");
                    return;
                }
            },
        }
    }
}

/// A change and all that wait behind it; `None`: there will be no more.
fn all_of(first: Result<Change, RecvError>, changes: &mut broadcast::Receiver<Change>) -> Option<Vec<Touched>> {
    let mut all = match first {
        Ok(touched) => touched.to_vec(),
        // Missed some.
        Err(RecvError::Lagged(_)) => vec![Touched::Everything],
        Err(RecvError::Closed) => return None,
    };
    all.extend(waiting_changes(changes));
    Some(all)
}

/// All that wait.
fn waiting_changes(changes: &mut broadcast::Receiver<Change>) -> Vec<Touched> {
    let mut all = Vec::new();
    loop {
        match changes.try_recv() {
            Ok(touched) => all.extend_from_slice(&touched),
            Err(TryRecvError::Lagged(_)) => all.push(Touched::Everything),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return all,
        }
    }
}

impl Shard {
    async fn obey(&mut self, commands: Vec<Command>) {
        let mut joins = Vec::new();
        for command in commands {
            match command {
                // One that is to join with the others knows that it is stopped.
                Command::Stop(id) => {
                    if let Some(live) = self.detach(id) {
                        live.end(&self.vector, None);
                    }
                }
                Command::Attach(join) => joins.push(join),
                // One batch after another is decided and handed over, and this is between two.
                Command::Tell(answer) => drop(answer.send(())),
            }
        }
        if !joins.is_empty() {
            self.attach_all(joins).await;
        }
    }

    /// Takes subscriptions over, with what little each has yet to see: together, so that a crowd that comes back waits for
    /// one commit of the audit trail and not for one each.
    async fn attach_all(&mut self, joins: Vec<Join>) {
        let (mut entries, mut joining) = (Vec::new(), Vec::new());
        for join in joins {
            if join.live.is_stopped() {
                join.live.end(&join.vector, None);
                join.answer(Attached::Yes);
            } else if let Some(missed) = missed(&self.shared, &self.vector, &join).await {
                entries.extend(missed);
                joining.push(join);
            } else {
                join.answer(Attached::Behind);
            }
        }
        let delivered = batch::deliver(&self.shared.parts, &mut self.reused, &entries).await;
        match delivered {
            Ok(delivered) => self.insert_all(joining, delivered).await,
            Err(_held) => joining.into_iter().for_each(|join| {
                self.forget_unless_used(join.live.projection.key());
                join.answer(Attached::Behind);
            }),
        }
    }

    async fn insert_all(&mut self, joining: Vec<Join>, Delivered { ended, overtaken }: Delivered) {
        let mut ended: HashMap<u64, _> = ended.into_iter().map(|(live, at, error)| (live.id, (at, error))).collect();
        for join in joining {
            if overtaken.contains_key(&join.live.id) {
                self.forget_unless_used(join.live.projection.key());
                join.answer(Attached::Behind);
                continue;
            }
            match ended.remove(&join.live.id) {
                Some((at, error)) => {
                    self.forget_unless_used(join.live.projection.key());
                    join.live.end(&at, error);
                }
                None => {
                    self.insert(join.live.clone());
                    self.shared.recall_since(join.told, [&join.live].into_iter());
                    self.decide_first(&join.live).await;
                }
            }
            join.answer(Attached::Yes);
        }
    }

    fn forget_unless_used(&mut self, projection: &Arc<str>) {
        if !self.users.contains_key(projection) {
            self.reused.forget(projection);
        }
    }

    fn insert(&mut self, live: Arc<Live>) {
        self.index.insert(&live.viewer.tenant, &live.pattern, live.id);
        *self.users.entry(live.projection.key().clone()).or_default() += 1;
        live.set_attached(true);
        metrics::gauge!("sluice_subscriptions_attached").increment(1);
        self.subscriptions.insert(live.id, live);
    }

    fn detach(&mut self, id: u64) -> Option<Arc<Live>> {
        let live = self.subscriptions.remove(&id)?;
        self.expirations.remove(id);
        self.index.remove(&live.viewer.tenant, &live.pattern, id);
        let key = live.projection.key();
        if let Some(users) = self.users.get_mut(key) {
            *users -= 1;
            if *users == 0 {
                self.users.remove(key);
                self.reused.forget(key);
            }
        }
        live.set_attached(false);
        metrics::gauge!("sluice_subscriptions_attached").decrement(1);
        Some(live)
    }

    /// Routes events that were read in order, and hands them to whom they concern.
    async fn route(&mut self, events: Vec<Arc<RecordedEvent>>) {
        let mut entries = Vec::new();
        // Where each subscription is that one of the entries concerns.
        let mut begin = self.vector.clone();
        for event in events {
            self.vector.advance(event.position.partition, event.position.seq);
            let concerned = self.concerned(&event);
            if !concerned.is_empty() {
                match OpenedEvent::open(self.shared.parts.keys.as_ref(), &event).await {
                    Ok(opened) => entries.extend(opened.map(|event| self.shared.entry(event, &self.vector, concerned))),
                    Err(error) => {
                        tracing::warn!(%error, "delivery is held");
                        self.catch_up_all(
                            entries.iter().flat_map(|entry| &entry.subscriptions).chain(&concerned),
                            &begin,
                        );
                        entries.clear();
                        begin.clone_from(&self.vector);
                    }
                }
            }
            self.shared.shards[self.number].recent().push(event);
        }
        metrics::counter!("sluice_events_routed_total").increment(entries.len() as u64);
        match batch::deliver(&self.shared.parts, &mut self.reused, &entries).await {
            Ok(Delivered { ended, overtaken }) => {
                self.catch_up_all(overtaken.values(), &begin);
                self.end(ended);
            }
            Err(held) => {
                tracing::warn!(why = %held, events = entries.len(), "delivery is held");
                self.catch_up_all(entries.iter().flat_map(|entry| &entry.subscriptions), &begin);
            }
        }
        self.shared.shards[self.number].progress.send_replace(self.vector.clone());
    }

    fn concerned(&self, event: &RecordedEvent) -> Vec<Arc<Live>> {
        let (Ok(tenant), Ok(channel)) = (event.header.tenant.parse(), event.header.channel.parse()) else {
            return Vec::new();
        };
        let ids = self.index.matching(&tenant, &channel);
        ids.iter().filter_map(|id| self.subscriptions.get(id)).filter(|live| live.wants(event)).cloned().collect()
    }

    /// Leaves subscriptions to tasks of their own, from the place before what they were not given.
    fn catch_up_all<'l>(&mut self, lives: impl Iterator<Item = &'l Arc<Live>>, place: &ReadVector) {
        for live in lives {
            // Some are there more than once.
            if let Some(live) = self.detach(live.id) {
                live.reached(place);
                self.shared.begin(live, place.clone(), None);
            }
        }
    }

    fn end(&mut self, ended: Ended) {
        for (live, at, error) in ended {
            if self.detach(live.id).is_some() {
                live.end(&at, error);
            }
        }
    }
}

/// What concerns a subscription and it was not given yet on the way to `head`, if that is little and can be had.
async fn missed(shared: &Shared, head: &ReadVector, Join { live, vector, .. }: &Join) -> Option<Vec<Entry>> {
    if vector.covers(head) {
        return Some(Vec::new());
    }
    let events = live.behind(&shared.shard(live).recent(), vector, LAST_STEP)?;
    let (mut entries, mut vector) = (Vec::new(), vector.clone());
    for event in events {
        vector.advance(event.position.partition, event.position.seq);
        let event = OpenedEvent::open(shared.parts.keys.as_ref(), &event).await.ok()?;
        entries.extend(event.map(|event| shared.entry(event, &vector, vec![live.clone()])));
    }
    Some(entries)
}
