//! Relationships in SpiceDB: checks joined into bulk checks, fully consistent; changes followed by Watch.
//!
//! The schema that callers are held to is ours, read by the embedded evaluator's parser; [`SpiceDb::ensure_schema`] makes
//! the server's the same.

mod batch;
mod checker;
mod client;
mod definitions;
mod error;
mod expirations;
mod fresh;
mod options;
mod refusal;
mod schema;
#[cfg(test)]
mod tests;
mod version;
mod watch;
mod wire;

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use jiff::Timestamp;
use sluice_subscriptions::relationships::{
    Check, Checked, Consistency, Heed, NOT_KNOWN, ObjectRef, Relationship, Relationships, RelationshipsError, Revision,
    Schema, Update, validate,
};
use spicedb_grpc_tonic::v1::{ReadRelationshipsRequest, consistency::Requirement};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use self::{
    checker::{Checker, Turn},
    client::Client,
    expirations::{Expirations, Until},
    fresh::Fresh,
    watch::Watcher,
};
pub use self::{error::OpenError, options::SpiceDbOptions, schema::SchemaState, version::Version};

/// SpiceDB's default for `--write-relationships-max-updates-per-call`.
const MAX_UPDATES: usize = 1000;

/// [`Relationships`] in SpiceDB.
///
/// Expirations are measured by the clock of SpiceDB's datastore, in microseconds. A call that was sent and failed is not
/// tried again; the connection is made anew with the next one.
pub struct SpiceDb {
    client: Client,
    checker: Checker,
    schema: Schema,
    schema_text: String,
    max_staleness: Duration,
    expirations: Arc<Expirations>,
    fresh: Arc<Fresh>,
    followed: Mutex<Vec<Followed>>,
}

/// One who keeps answers, and the task that tells her of changes.
type Followed = (Weak<dyn Heed>, AbortOnDropHandle<()>);

impl SpiceDb {
    /// Connects and asks one question, so that a wrong address or key is known at once. `schema` is what
    /// [`Self::ensure_schema`] compares and what checks and writes are held to. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// One sentence on what is wrong and what to do.
    pub async fn connect(options: &SpiceDbOptions, schema: &str) -> Result<Self, OpenError> {
        if options.deadline.is_zero() || options.max_in_flight == 0 {
            return Err(OpenError::Limits);
        }
        let (parsed, client) = (Schema::parse(schema)?, Client::new(options)?);
        let fresh = Arc::new(Fresh::new(client.clone(), &parsed));
        let checker = Checker::start(client.clone(), fresh.clone(), options.max_in_flight);
        let opened = Self {
            client,
            checker,
            fresh,
            expirations: Arc::new(Expirations::new(parsed.clone())),
            schema: parsed,
            schema_text: schema.to_owned(),
            max_staleness: options.max_staleness,
            followed: Mutex::default(),
        };
        opened.read_schema().await?;
        Ok(opened)
    }

    /// Whether it is known when answers end by themselves: not before all relationships that expire were read.
    pub fn knows_expirations(&self) -> bool {
        self.expirations.are_known()
    }

    /// What of it will expire is noted where Watch tells it, in the order of the revisions. Before a write is answered those who
    /// keep answers have given up what it touches. Whether one that failed has happened
    /// after all is not known.
    fn tell(&self, updates: &[Update]) {
        let touched = self.schema.touched_by_all(updates);
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.iter().filter_map(|(heed, _)| heed.upgrade()).for_each(|heed| heed.touched(&touched));
    }

    /// Until when each of the answers to these checks holds as long as nothing is written.
    fn hold_until(&self, checks: &[Check], allowed: &[bool]) -> Vec<Option<Timestamp>> {
        let until = |(check, allowed): (&Check, &bool)| match (allowed, self.expirations.until(check)) {
            // Where what takes away may expire, a denial may become a yes.
            (false, _) if self.schema.denials_last() => None,
            (false, _) | (true, Until::Unknown) => Some(NOT_KNOWN),
            (true, Until::At(at)) => Some(at),
            (true, Until::Ever) => None,
        };
        checks.iter().zip(allowed).map(until).collect()
    }

    async fn check(
        &self,
        consistency: Consistency,
        checks: &[Check],
        turn: Turn,
    ) -> Result<Checked, RelationshipsError> {
        checks.iter().try_for_each(|check| validate::check(&self.schema, check))?;
        if checks.is_empty() {
            return Ok(Checked { revision: self.head().await?, allowed: Vec::new(), until: Vec::new() });
        }
        let checked = self.checker.check(consistency.into(), checks, turn).await?;
        Ok(Checked { until: self.hold_until(checks, &checked.allowed), ..checked })
    }

    /// The last revision.
    async fn head(&self) -> Result<Revision, RelationshipsError> {
        self.client.head().await.map(wire::revision).map_err(|status| refusal::call(&status))
    }

    async fn read_all(&self, resource: &ObjectRef) -> Result<Vec<Relationship>, Status> {
        let request = ReadRelationshipsRequest {
            consistency: wire::consistency(Requirement::FullyConsistent(true)),
            relationship_filter: Some(wire::everything_of(resource)),
            ..ReadRelationshipsRequest::default()
        };
        let mut permissions = self.client.permissions();
        let mut stream = permissions.read_relationships(self.client.request(request)).await?.into_inner();
        let mut found = Vec::new();
        while let Some(one) = stream.message().await? {
            found.extend(one.relationship.and_then(wire::read));
        }
        Ok(found)
    }
}

#[async_trait]
impl Relationships for SpiceDb {
    async fn check_many(&self, consistency: Consistency, checks: &[Check]) -> Result<Checked, RelationshipsError> {
        self.check(consistency, checks, Turn::Next).await
    }

    async fn check_ahead(&self, consistency: Consistency, checks: &[Check]) -> Result<Checked, RelationshipsError> {
        self.check(consistency, checks, Turn::Ahead).await
    }

    /// At most 1000 updates.
    async fn write(&self, updates: Vec<Update>) -> Result<Revision, RelationshipsError> {
        validate::updates(&self.schema, &updates)?;
        if updates.is_empty() {
            return self.head().await;
        }
        if updates.len() > MAX_UPDATES {
            return Err(RelationshipsError::Invalid(format!(
                "one write of relationships holds {} updates, and SpiceDB takes {MAX_UPDATES}; write them in parts",
                updates.len()
            )));
        }
        let began = Instant::now();
        let written = self.client.write(updates.iter().map(wire::update).collect()).await;
        match &written {
            Ok(at) => self.fresh.wrote(began, at.clone()),
            // It may have happened, at a revision that is not known.
            Err(_) => self.fresh.told(),
        }
        self.tell(&updates);
        written.map(wire::revision).map_err(|status| refusal::call(&status))
    }

    async fn read(&self, resource: &ObjectRef) -> Result<Vec<Relationship>, RelationshipsError> {
        validate::object(&self.schema, resource)?;
        let read = self.client.call(|| self.read_all(resource)).await;
        read.map_err(|status| refusal::call(&status))
    }

    /// Must be called within a tokio runtime.
    fn follow(&self, heed: Weak<dyn Heed>) {
        if self.max_staleness.is_zero() {
            return;
        }
        let shared = (self.expirations.clone(), self.fresh.clone());
        let schema = (self.schema.clone(), self.schema_text.clone());
        let watcher = Watcher::new(self.client.clone(), schema, shared, heed.clone(), self.max_staleness);
        let task = AbortOnDropHandle::new(tokio::spawn(watcher.run()));
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).push((heed, task));
    }
}
