//! One holder of a name among all nodes: an advisory lock of a session.

use std::{future::Future, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use sqlx::{Executor, postgres::PgListener};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::{Postgres, error::Failed};

/// How often a node that waits asks for the lock, and how often one that holds it asks whether its connection lives. A
/// connection that the server or the network ends is seen at once; one that is silent, after this and the deadline, which is
/// before the server gives up on a vanished node.
const EVERY: Duration = Duration::from_millis(500);

/// A name that one node at a time holds.
pub struct Lease {
    db: Postgres,
    name: String,
}

impl Postgres {
    /// Nothing is held before [`Lease::hold`].
    pub fn lease(&self, name: &str) -> Lease {
        Lease { db: self.clone(), name: name.to_owned() }
    }
}

impl Lease {
    /// Runs `work` while this node holds the name, drops it when the name is lost, and tries again; work that ends by itself
    /// gives the name back, and begins anew. Ends with `shutdown`, where running work is dropped too.
    ///
    /// A server that is cut off may give the name to another node for a moment before this one notices: work must bear to be
    /// done twice.
    pub async fn hold<F: Future>(&self, shutdown: CancellationToken, work: impl Fn() -> F) {
        while !shutdown.is_cancelled() {
            let mut session = tokio::select! {
                () = shutdown.cancelled() => return,
                session = self.acquire() => session,
            };
            tracing::info!(name = self.name, "this node is the active one");
            tokio::select! {
                () = shutdown.cancelled() => {}
                why = self.lost(&mut session) => tracing::warn!(name = self.name, %why, "this node is not the active one any more"),
                _ = work() => {}
            }
            // Where that fails the connection is gone, and the lock with it.
            let _ = self.db.within(session.execute("SELECT pg_advisory_unlock_all()")).await;
            drop(session);
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = sleep(EVERY) => {}
            }
        }
    }

    /// The connection whose session holds the lock.
    async fn acquire(&self) -> PgListener {
        loop {
            match self.try_acquire().await {
                Ok(session) => return session,
                Err(why) => tracing::debug!(name = self.name, %why, "a lease can't be asked for now"),
            }
            sleep(EVERY).await;
        }
    }

    async fn try_acquire(&self) -> Result<PgListener, Failed> {
        let mut session = self.db.listener(self.db.connect_options().clone()).await?;
        loop {
            let query = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(key(&self.name));
            if self.db.within(query.fetch_one(&mut session)).await? {
                return Ok(session);
            }
            sleep(EVERY).await;
        }
    }

    /// Completes when the session is gone, or does not answer.
    async fn lost(&self, session: &mut PgListener) -> Failed {
        let mut heartbeat = interval(EVERY);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                heard = session.try_recv() => match heard {
                    Ok(Some(_)) => {}
                    Ok(None) => return Failed("the connection to PostgreSQL broke".into()),
                    Err(error) => return error.into(),
                },
                _ = heartbeat.tick() => {
                    if let Err(why) = self.db.within(session.execute("SELECT 1")).await {
                        return why;
                    }
                }
            }
        }
    }
}

/// Advisory locks have numbers: 8 bytes of a hash of the name.
fn key(name: &str) -> i64 {
    let hash = digest(&SHA256, format!("sluice lease {name}").as_bytes());
    i64::from_be_bytes(hash.as_ref().first_chunk().copied().unwrap_or_default())
}
