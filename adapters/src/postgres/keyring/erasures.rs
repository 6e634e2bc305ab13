//! Hearing of erasures on other nodes, and what may be remembered meanwhile.
//!
//! What was unwrapped is remembered only while a connection listens. It hears of an erasure when that commits; it is asked
//! for a sign of life after each silence of [`PING_AFTER`], so one that broke without a word is found out after that and one
//! deadline. Then everything is forgotten, and nothing remembered until another one listens.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sluice_schema::{ids::TenantId, proto::header::RoutingKey, sealed::DataKey};
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::time::{sleep, timeout};

use crate::{
    postgres::{Postgres, error::Failed},
    wrapped_keys::Cache,
};

pub(super) const CHANNEL: &str = "sluice_keys";

const PING_AFTER: Duration = Duration::from_secs(5);

const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);

#[derive(Clone, Default)]
pub(super) struct Remembered(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    listening: bool,
    cache: Cache,
}

impl Remembered {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of it is a single one, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For what no erasure touches: the tenants' secrets.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut Cache) -> T) -> T {
        f(&mut self.state().cache)
    }

    pub(super) fn data_key(&self, tenant: &TenantId, key: &RoutingKey) -> Option<DataKey> {
        self.state().cache.data_key(tenant, key)
    }

    /// Takes a key that was read when there had been `erasures`.
    pub(super) fn keep(&self, tenant: &TenantId, key: &RoutingKey, data_key: DataKey, erasures: u64) {
        let mut state = self.state();
        if state.listening {
            state.cache.keep_data_key(tenant, key, data_key, erasures);
        }
    }

    pub(super) fn forget(&self) {
        self.state().cache.forget_data_keys();
    }

    /// What was read before is not kept after it.
    fn listening(&self, listening: bool) {
        let mut state = self.state();
        state.listening = listening;
        state.cache.forget_data_keys();
    }
}

/// A connection that listens by now.
pub(super) async fn listen(db: &Postgres) -> Result<PgListener, Failed> {
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(db.deadline());
    let pool = pool.connect_lazy_with(db.connect_options().clone());
    let mut listener = db.within(PgListener::connect_with(&pool)).await?;
    listener.eager_reconnect(false);
    db.within(listener.listen(CHANNEL)).await?;
    Ok(listener)
}

/// Forgets what was erased, for ever.
pub(super) async fn follow(db: Postgres, remembered: Remembered, listener: PgListener) {
    let mut listener = Ok(listener);
    loop {
        match listener {
            Ok(live) => {
                remembered.listening(true);
                let why = hear(&db, &remembered, live).await;
                remembered.listening(false);
                tracing::warn!(%why, "erasures of keys on other nodes are not heard of; keys are read anew each time");
            }
            Err(_) => sleep(BETWEEN_ATTEMPTS).await,
        }
        listener = listen(&db).await;
    }
}

/// Until the connection is lost; gives why.
async fn hear(db: &Postgres, remembered: &Remembered, mut listener: PgListener) -> Failed {
    loop {
        match timeout(PING_AFTER, listener.try_recv()).await {
            Ok(Ok(Some(_))) => remembered.forget(),
            Ok(Ok(None)) => return Failed("the connection to PostgreSQL broke".into()),
            Ok(Err(error)) => return error.into(),
            Err(_) => {
                if let Err(why) = db.within(sqlx::query("SELECT 1").execute(&mut listener)).await {
                    return why;
                }
            }
        }
    }
}
