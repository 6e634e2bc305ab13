//! Relationships in process: exact, uncached, durable by a [`Journal`].

use std::sync::{Arc, RwLock, RwLockReadGuard};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Check, Checked, Consistency, Journal, ObjectRef, Relationship, Relationships, RelationshipsError, Revision, Tuples,
    Update, evaluate,
    schema::{Schema, SchemaError},
    validate,
};

/// What time it is; expirations are measured by it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The [`Relationships`] of a Sluice that runs alone.
///
/// Every check is evaluated anew on what was last written; all checks of one call on the same state and instant. A
/// write is on the journal before any check sees it. Checks never wait for the journal.
pub struct Embedded {
    shared: Arc<Shared>,
}

/// Why embedded relationships can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error("stored relationships can't be read: {0}")]
    Journal(RelationshipsError),
    /// The schema was changed under relationships that were written by an older one.
    #[error(
        "a stored relationship no longer fits the authorization schema: {0}; bring that part of the schema back, or \
         remove such relationships with the version that wrote them"
    )]
    Outgrown(RelationshipsError),
}

struct Shared {
    schema: Schema,
    clock: Clock,
    state: RwLock<State>,
    writer: tokio::sync::Mutex<Writer>,
}

struct State {
    tuples: Tuples,
    revision: u64,
}

struct Writer {
    journal: Box<dyn Journal>,
    /// An append failed, so what is stored must be read again before the next one.
    uncertain: bool,
}

impl Embedded {
    pub async fn open(schema: &str, journal: impl Journal + 'static, clock: Clock) -> Result<Self, OpenError> {
        let schema = Schema::parse(schema)?;
        let state = load(&schema, &journal, clock()).await?;
        let writer = Writer { journal: Box::new(journal), uncertain: false };
        let shared = Shared { schema, clock, state: RwLock::new(state), writer: writer.into() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// That the schema has all these permissions on the type: asked once at start-up, so that a mistyped name is found
    /// before the first viewer comes. See [`super::required_permissions`].
    pub fn require<'a>(
        &self,
        object_type: &str,
        permissions: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), RelationshipsError> {
        self.shared.schema.require(object_type, permissions)
    }
}

#[async_trait]
impl Relationships for Embedded {
    async fn check_many(&self, consistency: Consistency, checks: &[Check]) -> Result<Checked, RelationshipsError> {
        let state = self.shared.state()?;
        state.has_seen(&consistency)?;
        let now = (self.shared.clock)();
        let allowed = checks.iter().map(|check| evaluate::check(&self.shared.schema, &state.tuples, now, check));
        Ok(Checked { allowed: allowed.collect::<Result<_, _>>()?, revision: state.revision() })
    }

    async fn write(&self, updates: Vec<Update>) -> Result<Revision, RelationshipsError> {
        validate::updates(&self.shared.schema, &updates)?;
        let shared = self.shared.clone();
        // In a task of its own: a caller who goes away must not part what is stored from what is seen.
        let written = tokio::spawn(async move { shared.write(updates).await }).await;
        written.unwrap_or_else(|_| Err(broken("a write broke off")))
    }

    async fn read(&self, resource: &ObjectRef) -> Result<Vec<Relationship>, RelationshipsError> {
        validate::object(&self.shared.schema, resource)?;
        Ok(self.shared.state()?.tuples.of(resource, (self.shared.clock)()))
    }
}

impl Shared {
    fn state(&self) -> Result<RwLockReadGuard<'_, State>, RelationshipsError> {
        self.state.read().map_err(|_| broken("a write broke off"))
    }

    async fn write(&self, updates: Vec<Update>) -> Result<Revision, RelationshipsError> {
        let mut writer = self.writer.lock().await;
        if writer.uncertain {
            let stored = load(&self.schema, writer.journal.as_ref(), (self.clock)()).await;
            self.replace(stored.map_err(|error| RelationshipsError::Unavailable(error.to_string()))?)?;
            writer.uncertain = false;
        }
        let revision = self.state()?.revision + 1;
        // Set first, so that an append that panics counts as one that failed.
        writer.uncertain = true;
        writer.journal.append(revision, &updates).await?;
        self.apply(revision, updates)?;
        writer.uncertain = false;
        Ok(Revision(revision.to_string().into()))
    }

    fn replace(&self, stored: State) -> Result<(), RelationshipsError> {
        *self.state.write().map_err(|_| broken("a write broke off"))? = stored;
        Ok(())
    }

    fn apply(&self, revision: u64, updates: Vec<Update>) -> Result<(), RelationshipsError> {
        let now = (self.clock)();
        let mut state = self.state.write().map_err(|_| broken("a write broke off"))?;
        updates.into_iter().for_each(|update| state.tuples.apply(update, now));
        state.revision = revision;
        Ok(())
    }
}

impl State {
    fn revision(&self) -> Revision {
        Revision(self.revision.to_string().into())
    }

    /// Every check runs on the latest state, so a revision has been seen unless it is of another store.
    fn has_seen(&self, consistency: &Consistency) -> Result<(), RelationshipsError> {
        let Consistency::AtLeast(wanted) = consistency else { return Ok(()) };
        let seen = wanted.0.parse::<u64>().is_ok_and(|wanted| wanted <= self.revision);
        if seen {
            return Ok(());
        }
        Err(RelationshipsError::Invalid(
            "this revision of the relationships was never reached here; it is of another data directory".to_owned(),
        ))
    }
}

async fn load(schema: &Schema, journal: &dyn Journal, now: Timestamp) -> Result<State, OpenError> {
    let (stored, revision) = journal.load().await.map_err(OpenError::Journal)?;
    let mut tuples = Tuples::default();
    for relationship in stored {
        validate::relationship(schema, &relationship, true).map_err(OpenError::Outgrown)?;
        tuples.apply(Update::Touch(relationship), now);
    }
    Ok(State { tuples, revision })
}

fn broken(what: &str) -> RelationshipsError {
    RelationshipsError::Unavailable(format!("{what}; restart Sluice"))
}

#[cfg(test)]
mod tests;
