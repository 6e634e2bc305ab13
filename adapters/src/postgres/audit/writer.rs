//! Group commit: one task with one connection. Whatever queued while the last commit ran is the next statement; there is no
//! timer.
//!
//! Only this task adds to its chain, yet a commit may come true late: its connection was given up while the server still
//! worked on it. So after every doubt the end of the chain is read anew, and the primary key sees to it that of two groups
//! that begin with the same number one fails.

use sqlx::{Connection, PgConnection};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use super::insert::Group;
use crate::{
    audit_chain::{Entry, Known, Link},
    audit_heads::ChainEnd,
    failpoint,
    postgres::{
        Postgres,
        error::{Failed, sql_state},
    },
};

/// The most records in one statement, unless one call has more.
const MAX_RECORDS: usize = 1024;

/// The most calls that wait; whoever appends more waits as well.
const QUEUE: usize = 1024;

/// How often one group is tried, each time behind what is durable by then.
const ATTEMPTS: usize = 3;

const UNIQUE_VIOLATION: &str = "23505";

/// Classes of SQLSTATE: the connection broke, or the server ends it (appendix A of PostgreSQL's manual).
const CONNECTION_ENDED: [&str; 2] = ["08", "57P"];

/// The records of one call: all or none.
struct Job {
    entries: Vec<Entry>,
    answer: oneshot::Sender<Result<(), Failed>>,
}

enum Message {
    Append(Job),
    Close(oneshot::Sender<()>),
}

/// The callers' side. The task ends with it, after everything that was queued.
pub(super) struct Writer {
    messages: mpsc::Sender<Message>,
    db: Postgres,
    end: ChainEnd,
}

impl Writer {
    pub(super) async fn start(db: Postgres, writer: String) -> Result<Self, Failed> {
        let (messages, queue) = mpsc::channel(QUEUE);
        let acknowledged = watch::Sender::new(Link::beginning(&writer));
        let end = ChainEnd::new(writer.clone(), acknowledged.subscribe());
        let mut task = Task { acknowledged, known: Known::default(), db: db.clone(), writer, session: None };
        task.session = Some(task.connect().await?);
        tokio::spawn(task.run(queue));
        Ok(Self { messages, db, end })
    }

    pub(super) fn end(&self) -> ChainEnd {
        self.end.clone()
    }

    /// Answers when all are durable, or in doubt: then they may be there or not.
    pub(super) async fn append(&self, entries: Vec<Entry>) -> Result<(), Failed> {
        let (answer, wait) = oneshot::channel();
        let closed = || Failed("the audit trail is closed".into());
        let done = async {
            let sent = self.messages.send(Message::Append(Job { entries, answer })).await;
            sent.map_err(|_| closed())?;
            wait.await.map_err(|_| closed())?
        };
        timeout(self.db.deadline(), done).await.unwrap_or_else(|_| Err(too_late()))
    }

    pub(super) async fn close(&self) {
        let (closed, wait) = oneshot::channel();
        if self.messages.send(Message::Close(closed)).await.is_ok() {
            // An error means that it was closed meanwhile.
            let _ = wait.await;
        }
    }
}

fn too_late() -> Failed {
    Failed("PostgreSQL did not confirm the records in time".into())
}

struct Task {
    db: Postgres,
    writer: String,
    /// The end of what callers were told is durable; heads are signed of it.
    acknowledged: watch::Sender<Link>,
    /// The audiences that the database has confirmed in this session: another may be with a standby that lacks them.
    known: Known,
    /// `None` after any doubt about what is durable.
    session: Option<Session>,
}

/// A connection, and the end of the chain as it is known to be durable.
struct Session {
    connection: PgConnection,
    end: Link,
}

impl Task {
    async fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut next = None;
        while let Some(message) = match next.take() {
            Some(message) => Some(message),
            None => queue.recv().await,
        } {
            match message {
                Message::Append(job) => {
                    let (jobs, other) = drain(job, &mut queue);
                    next = other;
                    self.write(jobs).await;
                }
                Message::Close(closed) => {
                    queue.close();
                    self.close().await;
                    let _ = closed.send(());
                    return;
                }
            }
        }
        self.close().await;
    }

    async fn close(self) {
        if let Some(session) = self.session {
            // What was acknowledged is durable, however the connection ends.
            let _ = timeout(self.db.deadline(), session.connection.close()).await;
        }
    }

    async fn write(&mut self, mut jobs: Vec<Job>) {
        // Nothing left the process on account of one that was given up.
        jobs.retain(|job| !job.answer.is_closed());
        if jobs.is_empty() {
            return;
        }
        // Where the time is over, the session goes with the future.
        let outcome = timeout(self.db.deadline(), self.write_group(&jobs)).await.unwrap_or_else(|_| Err(too_late()));
        for job in jobs {
            // Whoever asked may be gone.
            let _ = job.answer.send(outcome.clone());
        }
    }

    /// All or nothing, behind what is durable.
    async fn write_group(&mut self, jobs: &[Job]) -> Result<(), Failed> {
        let mut in_doubt = None;
        let mut why = too_late();
        for _ in 0..ATTEMPTS {
            let mut session = match self.session.take() {
                Some(session) => session,
                None => {
                    self.known.clear();
                    self.connect().await?
                }
            };
            if in_doubt == Some(session.end) {
                self.durable(session);
                return Ok(());
            }
            let entries = jobs.iter().flat_map(|job| &job.entries);
            let group = Group::behind(session.end, entries, &mut self.known);
            failpoint::pass("audit.before-commit").await;
            match group.insert(&mut session.connection, &self.writer).await {
                Ok(()) => {
                    failpoint::pass("audit.after-commit").await;
                    session.end = group.end;
                    self.known.extend(group.into_audiences());
                    self.durable(session);
                    return Ok(());
                }
                Err(error) if !is_doubtful(&error) => return Err(error.into()),
                Err(error) => {
                    in_doubt = Some(group.end);
                    why = error.into();
                }
            }
        }
        Err(why)
    }

    fn durable(&mut self, session: Session) {
        self.acknowledged.send_replace(session.end);
        self.session = Some(session);
    }

    /// Reads where the chain is: what a broken connection left is there by now, or its numbers are used by what comes.
    async fn connect(&self) -> Result<Session, Failed> {
        let mut connection = self.db.connection(self.db.connect_options()).await?;
        let last = sqlx::query_as::<_, (i64, Vec<u8>)>(
            "SELECT number, hash FROM sluice.audit_records WHERE writer = $1 ORDER BY number DESC LIMIT 1",
        )
        .bind(&self.writer)
        .fetch_optional(&mut connection);
        let end = match self.db.within(last).await? {
            None => Link::beginning(&self.writer),
            Some((number, hash)) => {
                let damaged = |_| Failed("the last record of this writer is damaged".into());
                Link { number, hash: hash.try_into().map_err(damaged)? }
            }
        };
        let acknowledged = self.acknowledged.borrow().number;
        if end.number < acknowledged {
            tracing::error!(
                writer = self.writer,
                acknowledged,
                found = end.number,
                "the database has lost audit records that it had confirmed: was it restored, or did a standby take over?"
            );
        }
        Ok(Session { connection, end })
    }
}

/// Whether the group may be durable all the same, or its numbers are taken.
fn is_doubtful(error: &sqlx::Error) -> bool {
    match sql_state(error) {
        None => true,
        Some(code) => code == UNIQUE_VIOLATION || CONNECTION_ENDED.iter().any(|class| code.starts_with(class)),
    }
}

/// The first call and whatever queued behind it, and the message that ended the row.
fn drain(first: Job, queue: &mut mpsc::Receiver<Message>) -> (Vec<Job>, Option<Message>) {
    let mut records = first.entries.len();
    let mut jobs = vec![first];
    while records < MAX_RECORDS {
        match queue.try_recv() {
            Ok(Message::Append(job)) => {
                records += job.entries.len();
                jobs.push(job);
            }
            Ok(other) => return (jobs, Some(other)),
            Err(_) => break,
        }
    }
    (jobs, None)
}
