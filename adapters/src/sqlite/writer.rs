//! Group commit: one task with one connection per file. Whatever queued while the last commit ran is the next
//! transaction; there is no timer.

use std::future::Future;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::{DataDir, wal::Wal};
use crate::failpoint;

/// The most jobs in one transaction.
const MAX_JOBS: usize = 256;

/// The most groups that wait; whoever submits more waits as well.
const QUEUE: usize = 1024;

/// `SQLITE_IOERR_FSYNC` and `SQLITE_IOERR_DIR_FSYNC` (sqlite.org/rescode.html).
const FSYNC_FAILED: [&str; 2] = ["1034", "1290"];

/// What a writer does in its transactions.
pub(super) trait Work: Send + 'static {
    type Job: Send + Sync + 'static;
    type Done: Send + 'static;

    /// Failpoints, passed once per transaction.
    const BEFORE_COMMIT: &'static str;
    const AFTER_COMMIT: Option<&'static str> = None;

    /// Writes one job in the open transaction. What it changes in `self` is tentative, and it changes it only where it
    /// succeeds. It may be called again for the same job, after `discarded`.
    fn apply(
        &mut self,
        db: &mut SqliteConnection,
        job: &Self::Job,
    ) -> impl Future<Output = Result<Self::Done, sqlx::Error>> + Send;

    /// Writes some, one after the other. Where one fails, all of them are discarded.
    fn apply_all(
        &mut self,
        db: &mut SqliteConnection,
        jobs: &[&Self::Job],
    ) -> impl Future<Output = Result<Vec<Self::Done>, sqlx::Error>> + Send {
        async move {
            let mut done = Vec::with_capacity(jobs.len());
            for job in jobs {
                done.push(self.apply(db, job).await?);
            }
            Ok(done)
        }
    }

    /// All that was applied is durable. Called before anybody is answered.
    fn committed(&mut self) {}

    /// All that was applied since the last commit did not happen.
    fn discarded(&mut self) {}
}

/// Nothing of the job was written, or (where COMMIT itself failed) that is not known.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct WriteFailed(pub(super) String);

impl From<sqlx::Error> for WriteFailed {
    fn from(error: sqlx::Error) -> Self {
        // SQLite's texts name tables and columns, never values.
        match error.as_database_error() {
            Some(database) => Self(database.message().to_owned()),
            None => Self(error.to_string()),
        }
    }
}

type Outcome<W> = Result<<W as Work>::Done, WriteFailed>;

struct Group<W: Work> {
    jobs: Vec<W::Job>,
    answer: oneshot::Sender<Vec<Outcome<W>>>,
}

enum Message<W: Work> {
    Write(Group<W>),
    Close(oneshot::Sender<()>),
    /// A statement outside of any transaction, for faults.
    #[cfg(test)]
    Execute(&'static str, oneshot::Sender<()>),
}

/// The callers' side. The task ends with the last clone, after everything that was queued.
pub(super) struct Writer<W: Work> {
    messages: mpsc::Sender<Message<W>>,
}

impl<W: Work> Clone for Writer<W> {
    fn clone(&self) -> Self {
        Self { messages: self.messages.clone() }
    }
}

impl<W: Work> Writer<W> {
    pub(super) fn start(directory: &DataDir, db: SqliteConnection, wal: Wal, work: W) -> Self {
        let (messages, queue) = mpsc::channel(QUEUE);
        tokio::spawn(Task { db, wal, work, broken: None, _directory: directory.clone() }.run(queue));
        Self { messages }
    }

    /// One outcome for each job, in order, when all are durable or refused. Dropping the future leaves them queued.
    pub(super) async fn submit(&self, jobs: Vec<W::Job>) -> Vec<Outcome<W>> {
        let count = jobs.len();
        let mut outcomes = Vec::with_capacity(count);
        for answer in self.enqueue(jobs).await {
            outcomes.extend(answer.await.unwrap_or_default());
        }
        outcomes.resize_with(count, || Err(WriteFailed("the file is closed".into())));
        outcomes
    }

    pub(super) async fn submit_one(&self, job: W::Job) -> Outcome<W> {
        let outcome = self.submit(vec![job]).await.pop();
        outcome.unwrap_or_else(|| Err(WriteFailed("the file is closed".into())))
    }

    /// Queues the jobs in groups that fit a transaction.
    async fn enqueue(&self, jobs: Vec<W::Job>) -> Vec<oneshot::Receiver<Vec<Outcome<W>>>> {
        let mut jobs = jobs.into_iter().peekable();
        let mut answers = Vec::new();
        while jobs.peek().is_some() {
            let (answer, receiver) = oneshot::channel();
            let group = Group { jobs: jobs.by_ref().take(MAX_JOBS).collect(), answer };
            if self.messages.send(Message::Write(group)).await.is_err() {
                break;
            }
            answers.push(receiver);
        }
        answers
    }

    /// Writes what is queued, then closes the connection. Whoever submits later is refused.
    pub(super) async fn close(&self) {
        let (closed, wait) = oneshot::channel();
        if self.messages.send(Message::Close(closed)).await.is_ok() {
            // An error means that it was closed meanwhile.
            let _ = wait.await;
        }
    }

    #[cfg(test)]
    pub(super) async fn execute(&self, statement: &'static str) {
        let (done, wait) = oneshot::channel();
        assert!(self.messages.send(Message::Execute(statement, done)).await.is_ok());
        wait.await.unwrap();
    }
}

struct Task<W: Work> {
    db: SqliteConnection,
    wal: Wal,
    work: W,
    /// Why nothing is written any more.
    broken: Option<WriteFailed>,
    /// Locked until the last queued job is written, whoever has let go of the writer: no other process may begin before.
    _directory: DataDir,
}

impl<W: Work> Task<W> {
    async fn run(mut self, mut queue: mpsc::Receiver<Message<W>>) {
        let mut next = None;
        while let Some(message) = match next.take() {
            Some(message) => Some(message),
            None => queue.recv().await,
        } {
            match message {
                Message::Write(group) => {
                    let (groups, other) = drain(group, &mut queue);
                    next = other;
                    self.write(groups).await;
                }
                Message::Close(closed) => {
                    queue.close();
                    self.close().await;
                    let _ = closed.send(());
                    return;
                }
                #[cfg(test)]
                Message::Execute(statement, done) => {
                    sqlx::raw_sql(statement).execute(&mut self.db).await.unwrap();
                    done.send(()).unwrap();
                }
            }
        }
        self.close().await;
    }

    /// The writer's connection last: SQLite then moves what is left of the write-ahead log, and removes it.
    async fn close(self) {
        self.wal.close().await;
        if let Err(error) = self.db.close().await {
            tracing::warn!(%error, "a file did not close cleanly; what was acknowledged is durable all the same");
        }
    }

    async fn write(&mut self, groups: Vec<Group<W>>) {
        self.wal.shorten(&mut self.db).await;
        let jobs: Vec<_> = groups.iter().flat_map(|group| &group.jobs).collect();
        let mut outcomes = self.write_together(&jobs).await.into_iter();
        for group in groups {
            let answer = outcomes.by_ref().take(group.jobs.len()).collect();
            // Whoever asked may be gone.
            let _ = group.answer.send(answer);
        }
    }

    /// All jobs in one transaction. Where one fails, each gets a transaction of its own, so that it fails alone: SQLite
    /// may end a transaction on its own account (a full disk), so a savepoint could not be relied on.
    async fn write_together(&mut self, jobs: &[&W::Job]) -> Vec<Outcome<W>> {
        if let Some(done) = self.transaction(jobs).await {
            return done;
        }
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            outcomes.push(self.write_alone(job).await);
        }
        outcomes
    }

    /// `None`: a job of several failed, and nothing is written.
    async fn transaction(&mut self, jobs: &[&W::Job]) -> Option<Vec<Outcome<W>>> {
        let all_fail = |why: WriteFailed| Some(jobs.iter().map(|_| Err(why.clone())).collect());
        if let Some(why) = &self.broken {
            return all_fail(why.clone());
        }
        match self.apply(jobs).await {
            Err(_) if jobs.len() > 1 => {
                self.roll_back().await;
                None
            }
            Err(error) => {
                self.roll_back().await;
                all_fail(error.into())
            }
            Ok(done) => match self.commit().await {
                Ok(()) => Some(done.into_iter().map(Ok).collect()),
                Err(why) => all_fail(why),
            },
        }
    }

    async fn write_alone(&mut self, job: &W::Job) -> Outcome<W> {
        let outcomes = self.transaction(&[job]).await;
        outcomes.and_then(|mut outcomes| outcomes.pop()).unwrap_or_else(|| Err(WriteFailed("not written".into())))
    }

    async fn apply(&mut self, jobs: &[&W::Job]) -> Result<Vec<W::Done>, sqlx::Error> {
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.db).await?;
        self.work.apply_all(&mut self.db, jobs).await
    }

    async fn commit(&mut self) -> Result<(), WriteFailed> {
        failpoint::pass(W::BEFORE_COMMIT).await;
        if let Err(error) = sqlx::query("COMMIT").execute(&mut self.db).await {
            return Err(self.commit_failed(error).await);
        }
        if let Some(name) = W::AFTER_COMMIT {
            failpoint::pass(name).await;
        }
        self.work.committed();
        self.wal.committed();
        Ok(())
    }

    /// After a failed fsync the kernel may have dropped the pages, and a second one would lie: only a restart, which
    /// reads what is really there, helps.
    async fn commit_failed(&mut self, error: sqlx::Error) -> WriteFailed {
        let code = error.as_database_error().and_then(|database| database.code());
        let fatal = code.is_some_and(|code| FSYNC_FAILED.contains(&code.as_ref()));
        let mut why = WriteFailed::from(error);
        self.roll_back().await;
        if fatal {
            why.0.push_str("; the disk did not confirm a write: check it, then restart");
            tracing::error!(%why, "a file takes no more writes");
            self.broken = Some(why.clone());
        }
        why
    }

    async fn roll_back(&mut self) {
        // It fails where SQLite has ended the transaction already.
        let _ = sqlx::query("ROLLBACK").execute(&mut self.db).await;
        self.work.discarded();
    }
}

/// The first group and whatever queued behind it, and the message that ended the row.
fn drain<W: Work>(first: Group<W>, queue: &mut mpsc::Receiver<Message<W>>) -> (Vec<Group<W>>, Option<Message<W>>) {
    let mut jobs = first.jobs.len();
    let mut groups = vec![first];
    while jobs < MAX_JOBS {
        match queue.try_recv() {
            Ok(Message::Write(group)) => {
                jobs += group.jobs.len();
                groups.push(group);
            }
            Ok(other) => return (groups, Some(other)),
            Err(_) => break,
        }
    }
    (groups, None)
}
