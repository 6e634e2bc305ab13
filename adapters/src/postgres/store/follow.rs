//! How far the partitions are, told by other nodes and to them.
//!
//! A node that has committed notifies the others outside of the append's transaction: within it, PostgreSQL would take such
//! commits one after the other. What is notified is only that something moved; the heads are read then. A poll does the same
//! from time to time, for a notification is lost while a connection is.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use sluice_schema::position::ReadVector;
use sqlx::{Executor, Row, postgres::PgListener};
use tokio::time::{MissedTickBehavior, interval};

use super::Shared;
use crate::postgres::{Postgres, error::Failed};

const CHANNEL: &str = "sluice_heads";

/// How often the heads are read when nobody notifies, and how long a lost connection is left alone.
const EVERY: Duration = Duration::from_millis(250);

/// The heads of all partitions.
pub(super) async fn read_heads(db: impl Executor<'_, Database = sqlx::Postgres>) -> Result<ReadVector, sqlx::Error> {
    let rows = db.fetch_all("SELECT seq FROM sluice.heads ORDER BY partition").await?;
    let seqs = rows.iter().map(|row| row.try_get::<i64, _>(0).map(i64::unsigned_abs));
    Ok(ReadVector(seqs.collect::<Result<_, _>>()?))
}

/// Follows until the store is dropped, over as many connections as it takes.
pub(super) async fn run(db: Postgres, shared: Weak<Shared>) {
    let mut told = false;
    loop {
        match follow(&db, &shared, &mut told).await {
            Ok(()) => return,
            Err(why) if !told => {
                told = true;
                tracing::warn!(%why, "what other nodes append is not heard of now");
            }
            Err(_) => {}
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Over one connection; an error ends it. Fine is the end of the store.
async fn follow(db: &Postgres, shared: &Weak<Shared>, told: &mut bool) -> Result<(), Failed> {
    let (mut listener, own) = listen(db).await?;
    if std::mem::take(told) {
        tracing::info!("what other nodes append is heard of again");
    }
    let mut poll = interval(EVERY);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let Some(shared) = shared.upgrade() else { return Ok(()) };
        tokio::select! {
            () = shared.committed.notified() => {
                db.within(listener.execute("NOTIFY sluice_heads")).await?;
            }
            heard = listener.try_recv() => {
                let heard = heard?.ok_or_else(|| Failed("the connection to PostgreSQL broke".into()))?;
                // All that came with it say the same. What this node notifies it knows.
                let rest = std::iter::from_fn(|| listener.next_buffered());
                if std::iter::once(heard).chain(rest).filter(|heard| heard.process_id() != own).count() > 0 {
                    refresh(db, &mut listener, &shared).await?;
                }
            }
            _ = poll.tick() => refresh(db, &mut listener, &shared).await?,
        }
    }
}

async fn refresh(db: &Postgres, listener: &mut PgListener, shared: &Arc<Shared>) -> Result<(), Failed> {
    let heads = db.within(read_heads(listener)).await?;
    shared.advance(&heads);
    Ok(())
}

/// A connection of its own, which need not wait for the disk when it notifies, and the server's id of it.
async fn listen(db: &Postgres) -> Result<(PgListener, u32), Failed> {
    let options = db.connect_options().clone().options([("synchronous_commit", "off")]);
    let mut listener = db.listener(options).await?;
    db.within(listener.listen(CHANNEL)).await?;
    let row = db.within(listener.fetch_one("SELECT pg_backend_pid()")).await?;
    Ok((listener, row.try_get::<i32, _>(0)?.unsigned_abs()))
}
