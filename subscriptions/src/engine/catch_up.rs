//! A subscription that is behind the shard, on its own: a resume, a first state, or after a delivery that had to be held.

use std::{sync::Arc, time::Duration};

use sluice_schema::{
    error::ClientError,
    event::RecordedEvent,
    position::{Partition, ReadVector, Seq},
};
use tokio::sync::oneshot;

use super::{
    Shared,
    batch::{self, Delivered, Entry, Held, Reused},
    shard::{Attached, Command, Join},
    subscription::Live,
};
use crate::{
    audit::EndReason,
    log::{LogError, reader},
    opened::OpenedEvent,
};

/// How many events are read at once.
const CHUNK: usize = 256;

/// How many events are taken from the shard's memory at most.
const RECENT: usize = 4 * CHUNK;

/// The pause after a first failure; it doubles up to the cap.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(super) struct CatchUp {
    shared: Arc<Shared>,
    live: Arc<Live>,
    vector: ReadVector,
    state: Option<Arc<RecordedEvent>>,
    reused: Reused,
    /// [`crate::access::Access::told`] when it was last looked at whether what it was given before is to be taken back.
    told: u64,
    pause: Duration,
}

/// The subscription is over, or the shard has it.
struct Done;

impl CatchUp {
    pub(super) fn new(
        shared: Arc<Shared>,
        live: Arc<Live>,
        vector: ReadVector,
        state: Option<Arc<RecordedEvent>>,
    ) -> Self {
        let told = shared.parts.access.told();
        Self { shared, live, vector, state, reused: Reused::default(), told, pause: FIRST_PAUSE }
    }

    pub(super) async fn run(mut self) {
        let live = self.live.clone();
        let shutdown = self.shared.shutdown.clone();
        loop {
            tokio::select! {
                caught_up = self.catch_up() => if let Err(Done) = caught_up { return },
                () = live.stopped() => break,
                () = shutdown.cancelled() => break,
            }
            // Never cut short: the shard may have it already, and then only the shard knows how far it is.
            if let Err(Done) = self.attach().await {
                return;
            }
        }
        if shutdown.is_cancelled() {
            live.ends_because(EndReason::Shutdown);
        }
        live.end(&self.vector, None);
    }

    /// Gives it all that its shard has had.
    async fn catch_up(&mut self) -> Result<(), Done> {
        if let Some(state) = self.state.take() {
            let vector = self.vector.clone();
            self.deliver(vec![state], vector, false).await?;
        }
        let mut progress = self.shared.shard(&self.live).progress.subscribe();
        loop {
            let target = progress.borrow_and_update().clone();
            let Some((recent, head)) = self.recent() else {
                if self.vector.covers(&target) {
                    // The shard is in the midst of more than its memory holds.
                    let _ = progress.changed().await;
                }
                for (partition, head) in target.partitions() {
                    self.read_to(partition, head).await?;
                }
                continue;
            };
            for events in recent.chunks(CHUNK) {
                self.deliver(events.to_vec(), self.vector.clone(), true).await?;
            }
            self.vector.join(&head);
            self.live.reached(&self.vector);
            if head.covers(&self.vector) {
                return Ok(());
            }
            // It began ahead of the shard, which would tell it again what lies between.
            let _ = progress.changed().await;
        }
    }

    /// From the shard's memory: what it has yet to be given, and how far that goes. `None`: it is too far behind.
    fn recent(&self) -> Option<(Vec<Arc<RecordedEvent>>, ReadVector)> {
        let recent = self.shared.shard(&self.live).recent();
        Some((self.live.behind(&recent, &self.vector, RECENT)?, recent.head().clone()))
    }

    /// Reads and delivers one partition up to where the shard is, never past it: it would get ahead of the others.
    async fn read_to(&mut self, partition: Partition, head: Seq) -> Result<(), Done> {
        while self.vector.get(partition) < head {
            let after = self.vector.get(partition);
            let read = {
                let _turn = self.shared.turn().await;
                reader::read_after(self.shared.parts.log.as_ref(), partition, after, CHUNK).await
            };
            match read {
                Ok(mut events) => {
                    events.retain(|event| event.position.seq <= head);
                    if events.is_empty() {
                        self.hold("the log answers with less than it has", "").await;
                    }
                    let vector = self.vector.clone();
                    self.deliver(events, vector, true).await?;
                }
                Err(LogError::Unavailable(why)) => self.hold("the log can't be read", &why).await,
                Err(LogError::Gap { .. }) => {
                    let error = self.gap().await;
                    return Err(self.end(Some(error)));
                }
            }
        }
        Ok(())
    }

    /// Delivers events that follow on `vector`; tries until it works. `advances`: whether they are read from the log, or are
    /// a state that was read beside it.
    async fn deliver(
        &mut self,
        events: Vec<Arc<RecordedEvent>>,
        vector: ReadVector,
        advances: bool,
    ) -> Result<(), Done> {
        let reached = loop {
            let mut reached = vector.clone();
            match self.try_deliver(&events, &mut reached, advances).await {
                Ok(Delivered { overtaken, .. }) if !overtaken.is_empty() => {
                    self.hold("delivery is held", "what was decided may not be true any more").await;
                }
                Ok(Delivered { ended, .. }) => match ended.into_iter().next() {
                    Some((live, at, error)) => {
                        live.end(&at, error);
                        return Err(Done);
                    }
                    None => break reached,
                },
                Err(held) => self.hold("delivery is held", &held.to_string()).await,
            }
        };
        self.vector = reached;
        self.live.reached(&self.vector);
        self.pause = FIRST_PAUSE;
        self.recall();
        Ok(())
    }

    /// As its shard does for those that are attached.
    fn recall(&mut self) {
        let told = self.shared.parts.access.told();
        self.shared.recall_since(self.told, [&self.live].into_iter());
        self.told = told;
    }

    async fn try_deliver(
        &mut self,
        events: &[Arc<RecordedEvent>],
        reached: &mut ReadVector,
        advances: bool,
    ) -> Result<Delivered, Held> {
        let shared = self.shared.clone();
        let _turn = shared.turn().await;
        let entries = self.entries(events, reached, advances).await.map_err(Held)?;
        let _under_way = shared.under_way.begin();
        batch::deliver(&self.shared.parts, &mut self.reused, &entries).await
    }

    async fn entries(
        &mut self,
        events: &[Arc<RecordedEvent>],
        reached: &mut ReadVector,
        advances: bool,
    ) -> Result<Vec<Entry>, String> {
        let mut entries = Vec::new();
        for event in events {
            if advances {
                reached.advance(event.position.partition, event.position.seq);
            }
            let wanted = !advances || (self.live.matches(&event.header) && self.live.wants(event));
            if wanted {
                let opened = OpenedEvent::open(self.shared.parts.keys.as_ref(), event)
                    .await
                    .map_err(|error| error.to_string())?;
                entries.extend(opened.map(|event| self.shared.entry(event, reached, vec![self.live.clone()])));
            }
        }
        Ok(entries)
    }

    /// Asks the shard to take over.
    async fn attach(&mut self) -> Result<(), Done> {
        let (answer, attached) = oneshot::channel();
        let (live, vector) = (self.live.clone(), self.vector.clone());
        let attach = Command::Attach(Join { live, vector, told: self.told, answer });
        if self.shared.shard(&self.live).commands.send(attach).is_err() {
            return Err(self.end(self.gone()));
        }
        match attached.await {
            Ok(Attached::Behind) => Ok(()),
            Ok(Attached::Yes) => Err(Done),
            // The shard is gone, and had not looked at it.
            Err(_) => Err(self.end(self.gone())),
        }
    }

    /// Retention has passed the place while the subscription was behind.
    async fn gap(&mut self) -> ClientError {
        match self.shared.parts.log.earliest().await {
            Ok(earliest) => self.shared.expired(&earliest, "RETENTION", "events behind it are no longer kept"),
            Err(_) => ClientError::unavailable(),
        }
    }

    fn end(&self, error: Option<ClientError>) -> Done {
        if error.is_none() {
            self.live.ends_because(EndReason::Shutdown);
        }
        self.live.end(&self.vector, error);
        Done
    }

    /// Why there is no shard any more. At a shutdown the transport tells its clients.
    fn gone(&self) -> Option<ClientError> {
        (!self.shared.shutdown.is_cancelled()).then(ClientError::unavailable)
    }

    async fn hold(&mut self, what: &str, why: &str) {
        metrics::counter!("sluice_deliveries_held_total").increment(1);
        tracing::debug!(what, why, pause_ms = self.pause.as_millis() as u64, "held");
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

/// Says what is away, and pauses.
pub(super) async fn back_off(what: &str, why: &str) {
    tracing::warn!(why, "{what}");
    tokio::time::sleep(FIRST_PAUSE).await;
}
