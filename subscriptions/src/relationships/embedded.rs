//! Relationships in process: exact, durable by a [`Journal`].

use std::{
    sync::{Arc, RwLock, RwLockReadGuard, Weak},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Check, Checked, Consistency, Journal, ObjectRef, Relationship, Relationships, RelationshipsError, Revision,
    Touched, Tuples, Update,
    changes::{Heed, Heeding},
    evaluate,
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
    heeding: Heeding,
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
        let heeding = Heeding::default();
        let shared = Shared { schema, clock, state: RwLock::new(state), writer: writer.into(), heeding };
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
        let answers = checks.iter().map(|check| evaluate::check(&self.shared.schema, &state.tuples, now, check));
        let answers = answers.collect::<Result<Vec<_>, _>>()?;
        let allowed = answers.iter().map(|answer| answer.allowed).collect();
        let until = answers.iter().map(|answer| answer.until).collect();
        Ok(Checked { allowed, revision: state.revision(), until })
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

    /// All writes are made here, and told before any check sees them.
    fn follow(&self, heed: Weak<dyn Heed>) {
        /// A process that ran longer would only ask again.
        const EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        if let Some(heed) = heed.upgrade() {
            heed.known_until(Some(Instant::now() + EVER));
        }
        self.shared.heeding.add(heed);
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
        let mut state = self.state.write().map_err(|_| broken("a write broke off"))?;
        *state = stored;
        self.heeding.tell(&[Touched::Everything]);
        Ok(())
    }

    fn apply(&self, revision: u64, updates: Vec<Update>) -> Result<(), RelationshipsError> {
        let now = (self.clock)();
        let touched = self.schema.touched_by_all(&updates);
        let mut state = self.state.write().map_err(|_| broken("a write broke off"))?;
        updates.into_iter().for_each(|update| state.tuples.apply(update, now));
        state.revision = revision;
        // While nobody can check: what was answered before is given up before anything is answered after.
        self.heeding.tell(&touched);
        Ok(())
    }
}

impl State {
    fn revision(&self) -> Revision {
        Revision(self.revision.to_string().into())
    }

    /// Every check runs on the latest state, so a revision has been seen unless it is of another store.
    fn has_seen(&self, consistency: &Consistency) -> Result<(), RelationshipsError> {
        let wanted = match consistency {
            Consistency::Full | Consistency::Told => return Ok(()),
            Consistency::AtLeast(wanted) => wanted,
            Consistency::At(wanted) if *wanted == self.revision() => return Ok(()),
            Consistency::At(_) => return Err(RelationshipsError::Overtaken),
        };
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
