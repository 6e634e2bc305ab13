//! Revisions that hold what has to be known.
//!
//! SpiceDB's own full consistency does not: a call may join another's look at the last revision, and be given one from before a
//! write that was answered before the call was made (its `HeadRevision` is shared for as long as anybody waits for it). A write
//! shares nothing: the revision that it is answered with holds everything that was written before it began. So what has to be
//! known is asked about at the revision of a write of our own that began after it; where there is none yet, one is made, of
//! a relationship that opens nothing.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sluice_subscriptions::relationships::{ObjectRef, Relationship, Schema, SubjectRef, Update};
use spicedb_grpc_tonic::v1::ZedToken;
use tonic::Status;

use super::{
    client::Client,
    watch::{BEAT, GATEWAY},
    wire,
};

/// What is written is of no use for longer than this, and SpiceDB removes it then.
const LIVES: Duration = Duration::from_secs(60);

/// What this process wrote last, and was told last.
pub(super) struct Fresh {
    client: Client,
    /// Whether the schema has what can be written.
    able: bool,
    id: Arc<str>,
    state: Mutex<State>,
    /// Held while a revision is made, so that those who wait can have it too.
    making: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    written: Option<Written>,
    told: Option<Instant>,
}

/// A write that was answered.
#[derive(Clone)]
struct Written {
    began: Instant,
    at: ZedToken,
}

impl State {
    fn note(&mut self, began: Instant, at: ZedToken) {
        if self.written.as_ref().is_none_or(|last| last.began <= began) {
            self.written = Some(Written { began, at });
        }
    }
}

impl Fresh {
    pub(super) fn new(client: Client, schema: &Schema) -> Self {
        let id = format!("{:032x}", fastrand::u128(..)).into();
        let able = schema.writable().any(|one| (one.object_type, one.relation) == (GATEWAY, BEAT));
        Self { client, able, id, state: Mutex::default(), making: tokio::sync::Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was told just now.
    pub(super) fn told(&self) {
        self.state().told = Some(Instant::now());
    }

    /// A write of this process was answered. That counts as told now and not when it began: one that began meanwhile need not
    /// hold it.
    pub(super) fn wrote(&self, began: Instant, at: ZedToken) {
        let mut state = self.state();
        state.told = Some(Instant::now());
        state.note(began, at);
    }

    /// The same of one that changed nothing.
    pub(super) fn beat(&self, began: Instant, at: ZedToken) {
        self.state().note(began, at);
    }

    /// When something was told last; `None` where nobody tells anything.
    pub(super) fn last_told(&self) -> Option<Instant> {
        self.state().told
    }

    /// A revision that holds everything that was written before an instant; `None` under a schema without gateways, where
    /// SpiceDB's own consistency has to do.
    pub(super) async fn since(&self, instant: Instant) -> Result<Option<ZedToken>, Status> {
        if !self.able {
            return Ok(None);
        }
        let found = || self.state().written.as_ref().filter(|written| written.began >= instant).map(|w| w.at.clone());
        if let Some(at) = found() {
            return Ok(Some(at));
        }
        let _making = self.making.lock().await;
        if let Some(at) = found() {
            return Ok(Some(at));
        }
        let began = Instant::now();
        let at = self.client.write(vec![wire::update(&Update::Touch(self.nothing()))]).await?;
        self.beat(began, at.clone());
        Ok(Some(at))
    }

    /// Nobody's access depends on it.
    fn nothing(&self) -> Relationship {
        let gateway = ObjectRef { object_type: GATEWAY.into(), id: self.id.clone() };
        let subject = SubjectRef { object: gateway.clone(), relation: None };
        Relationship { resource: gateway, relation: BEAT.into(), subject, expires: Some(Timestamp::now() + LIVES) }
    }
}

#[cfg(test)]
mod tests {
    use sluice_subscriptions::relationships::SCHEMA;

    use super::{super::tests::options, *};

    fn at(token: &str) -> ZedToken {
        ZedToken { token: token.into() }
    }

    /// A transaction sees nothing of one that is under way as it begins.
    #[tokio::test]
    async fn a_write_that_began_during_another_does_not_stand_for_it() {
        let client = Client::new(&options(1)).unwrap();
        for answered_last in ["the change", "the other"] {
            let fresh = Fresh::new(client.clone(), &Schema::parse(SCHEMA).unwrap());
            let (change, other) = (Instant::now(), Instant::now());
            if answered_last == "the change" {
                fresh.beat(other, at("other"));
                fresh.wrote(change, at("change"));
            } else {
                fresh.wrote(change, at("change"));
                fresh.beat(other, at("other"));
            }
            let told = fresh.last_told().expect("the change is told");
            // Neither will do; nobody answers who could write another.
            fresh.since(told).await.expect_err(answered_last);
        }
    }
}
