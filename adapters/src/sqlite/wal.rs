//! Moving what was committed from the write-ahead log into the file, off the commit path.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::{sync::watch, task::JoinHandle};

use super::{OpenError, database};

/// Commits between two checkpoints.
const COMMITS: u64 = 256;

/// From this many pages on (64 MiB) the writer itself moves the rest, so that the log can begin anew: under steady writes
/// a checkpoint beside it never gets to the very end.
const LONG: i64 = 16_384;

/// The writer's side.
pub(super) struct Wal {
    commits: watch::Sender<u64>,
    long: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Wal {
    /// Starts the task that makes checkpoints; it ends with the value.
    pub(super) async fn start(path: &Path) -> Result<Self, OpenError> {
        let connection = database::options(path).connect().await;
        let connection = connection.map_err(|source| OpenError::Database { path: path.to_owned(), source })?;
        let (commits, counter) = watch::channel(0);
        let long = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(run(connection, counter, long.clone()));
        Ok(Self { commits, long, task })
    }

    /// Ends the task and closes its connection.
    pub(super) async fn close(self) {
        drop(self.commits);
        // An error is a panic of the task, which has been told where it happened.
        let _ = self.task.await;
    }

    pub(super) fn committed(&self) {
        self.commits.send_modify(|count| *count += 1);
    }

    /// To be called between two transactions.
    pub(super) async fn shorten(&self, writer: &mut SqliteConnection) {
        if self.long.swap(false, Ordering::Relaxed)
            && let Err(error) = checkpoint(writer).await
        {
            tracing::warn!(%error, "the write-ahead log can't be shortened");
        }
    }
}

async fn run(mut connection: SqliteConnection, mut commits: watch::Receiver<u64>, long: Arc<AtomicBool>) {
    let mut done = 0;
    while let Ok(count) = commits.wait_for(|count| *count >= done + COMMITS).await.map(|count| *count) {
        done = count;
        match checkpoint(&mut connection).await {
            Ok(pages) => long.store(pages > LONG, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "a checkpoint failed; the write-ahead log grows until one succeeds"),
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "a connection did not close cleanly");
    }
}

/// Moves what no reader holds up; waits for nobody. Gives the length of the log in pages.
async fn checkpoint(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let (_busy, pages, _moved): (i64, i64, i64) =
        sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(connection).await?;
    Ok(pages)
}
