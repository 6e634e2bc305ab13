//! Hears of every change of relationships, and knows whether it still does.
//!
//! SpiceDB's Watch tells what was written, by whomever. On PostgreSQL an idle Watch says nothing at all, and one that broke says
//! as little; so a canary is written again and again: a relationship of this process's own. As Watch tells changes in the order
//! of their revisions, everything that was written before a canary has been told once the canary comes back, and answers may be
//! kept until the bound behind the instant at which that canary was written. Expirations are never told: what will expire is
//! read when a Watch begins, and followed from there.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sluice_subscriptions::relationships::{Heed, ObjectRef, Relationship, Schema, SubjectRef, Touched, Update};
use spicedb_grpc_tonic::v1::{
    ReadRelationshipsRequest, RelationshipUpdate, WatchKind, WatchRequest, WatchResponse, ZedToken,
    consistency::Requirement, relationship_update::Operation,
};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tonic::Status;

use super::{client::Client, expirations::Expirations, fresh::Fresh, refusal, schema, wire};

/// The type of canaries in `sluice.zed`, and their relation.
pub(super) const GATEWAY: &str = "gateway";
pub(super) const BEAT: &str = "beat";

/// Canaries within the bound: one that is late or lost is no reason to forget everything.
const BEATS: u32 = 4;

/// Canaries are of no use for longer than this, and SpiceDB removes them then.
const CANARY_LIVES: Duration = Duration::from_secs(60);

/// The pause after a failure; it doubles up to the cap.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Watcher {
    client: Client,
    /// By which it is told whom a change touches.
    schema: Schema,
    schema_text: String,
    /// Whether the server's is that; what another one makes of a change nobody here knows.
    is_ours: AtomicBool,
    expirations: Arc<Expirations>,
    fresh: Arc<Fresh>,
    heed: Weak<dyn Heed>,
    /// How old a change may be when answers that it alters are still used.
    bound: Duration,
    canary: Canary,
    /// Whether it was said that nothing is heard.
    complained: AtomicBool,
    /// Until when changes are known by this Watch, since a canary of it came back.
    known: Mutex<Option<Instant>>,
}

/// One that was written and has not come back yet: by its expiration, which is another one each time.
type Written = (Timestamp, Instant);

struct Canary {
    id: Arc<str>,
    under_way: Mutex<VecDeque<Written>>,
}

impl Watcher {
    pub(super) fn new(
        client: Client,
        (schema, schema_text): (Schema, String),
        (expirations, fresh): (Arc<Expirations>, Arc<Fresh>),
        heed: Weak<dyn Heed>,
        bound: Duration,
    ) -> Self {
        let id = format!("{:032x}", fastrand::u128(..));
        let canary = Canary { id: id.into(), under_way: Mutex::default() };
        Self {
            client,
            schema,
            schema_text,
            is_ours: AtomicBool::default(),
            expirations,
            fresh,
            heed,
            bound,
            canary,
            complained: AtomicBool::default(),
            known: Mutex::default(),
        }
    }

    /// Runs until whoever heeds is gone.
    pub(super) async fn run(self) {
        let mut pause = FIRST_PAUSE;
        while self.heed.strong_count() > 0 {
            let began = Instant::now();
            // Canaries begin behind the place where Watch does, or the first of them would not come back.
            let why = match self.client.head().await {
                Err(status) => refusal::call(&status).to_string(),
                Ok(head) => tokio::select! {
                    why = self.watch(head) => why,
                    why = self.beat() => why,
                },
            };
            self.known_until(None);
            self.expirations.lost();
            if !self.complained.swap(true, Ordering::Relaxed) {
                tracing::warn!(%why, "changes of relationships are not heard of now: each decision asks SpiceDB until they are");
            }
            metrics::counter!("sluice_spicedb_watch_breaks_total").increment(1);
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Over one stream, from a revision on; ends with why there is no more.
    async fn watch(&self, head: ZedToken) -> String {
        let follow = async {
            let reading = self.expirations.reading();
            let request = WatchRequest {
                optional_start_cursor: Some(head.clone()),
                optional_update_kinds: [WatchKind::IncludeRelationshipUpdates, WatchKind::IncludeSchemaUpdates]
                    .map(i32::from)
                    .into(),
                ..WatchRequest::default()
            };
            // What was written up to the cursor is not told.
            self.touched(&[Touched::Everything]);
            // Behind its beginning: one that comes later is told.
            let is_ours = schema::has(&self.client, &self.schema_text, &self.schema).await?;
            self.is_ours.store(is_ours, Ordering::Relaxed);
            if !is_ours {
                tracing::warn!(
                    "the schema in SpiceDB is not that of this version: nothing that is decided is kept until it is"
                );
            }
            // It answers with its first change: the canary's.
            let mut stream = self.within(self.client.watch().watch(request)).await?.into_inner();
            let listen = async {
                let ended: Result<std::convert::Infallible, Status> = loop {
                    match self.within(stream.message()).await {
                        Ok(Some(told)) => {
                            if let Err(status) = self.hear(told) {
                                break Err(status);
                            }
                        }
                        Ok(None) => break Err(Status::unavailable("the stream ended")),
                        Err(status) => break Err(status),
                    }
                };
                ended
            };
            let read = async {
                let (all, expirations) = (self.all_that_expire(&head).await?, self.expirations.clone());
                // There may be many of them.
                let known = tokio::task::spawn_blocking(move || expirations.are(reading, all)).await;
                known.map_err(|_| Status::internal("what expires could not be noted"))?;
                // Answers tell from now on when they end by themselves.
                self.touched(&[Touched::Everything]);
                Ok(())
            };
            tokio::try_join!(listen, read).map(|(never, ())| never)
        };
        let ended: Result<std::convert::Infallible, Status> = follow.await;
        match ended {
            Err(status) => refusal::call(&status).to_string(),
            Ok(never) => match never {},
        }
    }

    /// All relationships that will expire, as of a revision.
    async fn all_that_expire(&self, at: &ZedToken) -> Result<Vec<Relationship>, Status> {
        let mut found = Vec::new();
        for (object_type, relation) in self.expirations.relations() {
            let request = ReadRelationshipsRequest {
                consistency: wire::consistency(Requirement::AtExactSnapshot(at.clone())),
                relationship_filter: Some(wire::everything_in(object_type, relation)),
                ..ReadRelationshipsRequest::default()
            };
            // As long as it takes, and as long as something comes.
            let mut permissions = self.client.permissions();
            let mut stream = self.within(permissions.read_relationships(request)).await?.into_inner();
            while let Some(one) = self.within(stream.message()).await? {
                let one = one.relationship.and_then(wire::read);
                found.extend(one.filter(|one| one.expires.is_some()));
            }
        }
        Ok(found)
    }

    /// Without a word for twice the bound, of which each quarter has its canary, it is broken.
    async fn within<T>(&self, step: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        timeout(2 * self.bound, step).await.unwrap_or_else(|_| Err(Status::deadline_exceeded("Watch is silent")))
    }

    /// First what changed, then how far that is known.
    ///
    /// # Errors
    /// The schema was changed: Watch has to begin anew, with what that makes of everything.
    fn hear(&self, told: WatchResponse) -> Result<(), Status> {
        let touched: Vec<_> = told.updates.iter().filter_map(|update| self.touched_by(update)).collect();
        if !touched.is_empty() {
            self.touched(&touched);
        }
        if told.schema_updated {
            self.known_until(None);
            self.touched(&[Touched::Everything]);
            tracing::info!("the schema in SpiceDB was changed: Watch begins anew");
            return Err(Status::aborted("the schema was changed"));
        }
        let written = told.updates.iter().filter_map(|update| self.canary.back(update)).max();
        if let Some(written) = written.filter(|_| self.is_ours.load(Ordering::Relaxed)) {
            let before = self.known().is_some_and(|until| until > Instant::now());
            self.known_until(Some(written + self.bound));
            if !before {
                // What was decided before was not kept, and nobody noted when it ends.
                self.touched(&[Touched::Everything]);
            }
            if self.complained.swap(false, Ordering::Relaxed) {
                tracing::info!("changes of relationships are heard of again");
            }
        }
        Ok(())
    }

    /// What can't be read may be anything.
    fn touched_by(&self, update: &RelationshipUpdate) -> Option<Touched> {
        let resource = update.relationship.as_ref().and_then(|relationship| relationship.resource.as_ref());
        if resource.is_some_and(|resource| resource.object_type == GATEWAY) {
            return None;
        }
        let Some(relationship) = update.relationship.clone().and_then(wire::read) else {
            return Some(Touched::Everything);
        };
        let touched = match self.is_ours.load(Ordering::Relaxed) {
            true => self.schema.touched_by(&relationship),
            false => Touched::Everything,
        };
        self.expirations.note(if update.operation() == Operation::Delete {
            Update::Delete(relationship)
        } else {
            Update::Touch(relationship)
        });
        Some(touched)
    }

    fn touched(&self, touched: &[Touched]) {
        // Before it is told: whoever asks because of it asks behind it.
        self.fresh.told();
        if let Some(heed) = self.heed.upgrade() {
            heed.touched(touched);
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<Instant>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_until(&self, until: Option<Instant>) {
        *self.known() = until;
        if let Some(heed) = self.heed.upgrade() {
            heed.known_until(until);
        }
    }

    /// Writes canaries; ends with why it can't.
    async fn beat(&self) -> String {
        let mut beats = interval(self.bound / BEATS);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            let (began, canary) = (Instant::now(), wire::update(&Update::Touch(self.canary.next())));
            match self.client.write(vec![canary]).await {
                Ok(at) => self.fresh.beat(began, at),
                Err(status) => return refusal::call(&status).to_string(),
            }
        }
    }
}

impl Canary {
    fn under_way(&self) -> MutexGuard<'_, VecDeque<Written>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next one, noted before it is written.
    fn next(&self) -> Relationship {
        let mut under_way = self.under_way();
        let now = Timestamp::now() + CANARY_LIVES;
        // Datastores keep microseconds. No two are alike, or the second would be no change.
        let last = under_way.back().map_or(i64::MIN, |(expires, _)| expires.as_microsecond());
        let expires = Timestamp::from_microsecond(now.as_microsecond().max(last.saturating_add(1))).unwrap_or(now);
        under_way.push_back((expires, Instant::now()));
        while under_way.len() > 64 {
            under_way.pop_front();
        }
        let gateway = ObjectRef { object_type: GATEWAY.into(), id: self.id.clone() };
        let subject = SubjectRef { object: gateway.clone(), relation: None };
        Relationship { resource: gateway, relation: BEAT.into(), subject, expires: Some(expires) }
    }

    /// When a canary that came back was written, if it is one of ours.
    fn back(&self, update: &RelationshipUpdate) -> Option<Instant> {
        let relationship = update.relationship.clone().and_then(wire::read)?;
        if &*relationship.resource.object_type != GATEWAY || relationship.resource.id != self.id {
            return None;
        }
        let mut under_way = self.under_way();
        let place = under_way.iter().position(|(expires, _)| Some(*expires) == relationship.expires)?;
        let (_, written) = under_way.drain(..=place).next_back()?;
        Some(written)
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
