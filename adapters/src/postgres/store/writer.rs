//! Group commit: one task with one connection per process. Whatever queued while the last commit ran is the next transaction;
//! there is no timer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sluice_domain::store::{Append, AppendError};
use sqlx::PgConnection;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::{
    Shared,
    decide::Answer,
    transaction::{self, Fault, Written},
};
use crate::postgres::{Postgres, error::Failed};

/// The most appends in one transaction.
const MAX_JOBS: usize = 256;

/// The most KiB of events that wait or are being written; whoever submits more waits as well.
const QUEUE_KIB: usize = 64 << 10;

/// About the most KiB in one transaction.
const GROUP_KIB: usize = 8 << 10;

struct Job {
    append: Append,
    since: Instant,
    /// Given back when the job is answered.
    weight: OwnedSemaphorePermit,
    answer: oneshot::Sender<Answer>,
}

enum Message {
    Write(Box<Job>),
    Close(oneshot::Sender<()>),
}

/// The callers' side. The task ends with it, after everything that was queued.
pub(super) struct Writer {
    messages: mpsc::UnboundedSender<Message>,
    /// What bounds the queue, in KiB.
    room: Arc<Semaphore>,
    deadline: Duration,
}

impl Writer {
    pub(super) fn start(db: Postgres, shared: Arc<Shared>) -> Self {
        let (messages, queue) = mpsc::unbounded_channel();
        let deadline = db.deadline();
        tokio::spawn(Task { db, shared, connection: None }.run(queue));
        Self { messages, room: Arc::new(Semaphore::new(QUEUE_KIB)), deadline }
    }

    /// One answer for each append, in order. Dropping the future leaves them queued.
    pub(super) async fn submit(&self, appends: Vec<Append>) -> Vec<Answer> {
        let mut waiting = Vec::with_capacity(appends.len());
        let mut refused = None;
        for append in appends {
            if refused.is_none() {
                match self.enqueue(append).await {
                    Ok(answer) => waiting.push(Ok(answer)),
                    Err(why) => refused = Some(why),
                }
            }
            if let Some(why) = &refused {
                waiting.push(Err(why.clone()));
            }
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for answer in waiting {
            answers.push(match answer {
                Ok(answer) => answer.await.unwrap_or_else(|_| Err(unavailable(closed()))),
                Err(why) => Err(unavailable(why)),
            });
        }
        answers
    }

    async fn enqueue(&self, append: Append) -> Result<oneshot::Receiver<Answer>, Failed> {
        let since = Instant::now();
        let room = timeout(self.deadline, self.room.clone().acquire_many_owned(kib(&append))).await;
        let weight = match room {
            Ok(Ok(weight)) => weight,
            Ok(Err(_)) => return Err(closed()),
            Err(_) => return Err(Failed("too much waits for PostgreSQL; nothing was written".into())),
        };
        let (answer, receiver) = oneshot::channel();
        let job = Job { append, since, weight, answer };
        self.messages.send(Message::Write(Box::new(job))).map_err(|_| closed())?;
        Ok(receiver)
    }

    /// Writes what is queued, then closes the connection. Whoever submits later is refused.
    pub(super) async fn close(&self) {
        self.room.close();
        let (closed, wait) = oneshot::channel();
        if self.messages.send(Message::Close(closed)).is_ok() {
            // An error means that it was closed meanwhile.
            let _ = wait.await;
        }
    }
}

fn kib(append: &Append) -> u32 {
    /// About what header and bookkeeping take.
    const OVERHEAD: usize = 1024;
    let bytes: usize = append.events.iter().map(|event| OVERHEAD + event.payload.0.len()).sum();
    // Below 2^16.
    (bytes.div_ceil(1024)).clamp(1, QUEUE_KIB) as u32
}

fn closed() -> Failed {
    Failed("the store is closed".into())
}

fn unavailable(why: Failed) -> AppendError {
    AppendError::Unavailable(why.0)
}

struct Task {
    db: Postgres,
    shared: Arc<Shared>,
    connection: Option<PgConnection>,
}

impl Task {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Message>) {
        let mut jobs = Vec::new();
        while let Some(message) = queue.recv().await {
            let closed = drain(message, &mut queue, &mut jobs);
            self.write(std::mem::take(&mut jobs)).await;
            if let Some(closed) = closed {
                queue.close();
                self.close().await;
                let _ = closed.send(());
                return;
            }
        }
        self.close().await;
    }

    async fn close(self) {
        if let Some(connection) = self.connection {
            // What was acknowledged is durable, however the connection ends.
            let _ = self.db.within(sqlx::Connection::close(connection)).await;
        }
    }

    /// Writes and answers; what has waited past the deadline is refused, and what nobody waits for any more is left out.
    async fn write(&mut self, jobs: Vec<Job>) {
        let mut current = Vec::with_capacity(jobs.len());
        for job in jobs {
            if job.since.elapsed() > self.db.deadline() {
                let late = Failed("it waited too long for PostgreSQL; nothing was written".into());
                let _ = job.answer.send(Err(unavailable(late)));
            } else if !job.answer.is_closed() {
                current.push(job);
            }
        }
        if current.is_empty() {
            return;
        }
        let appends: Vec<_> = current.iter().map(|job| &job.append).collect();
        let answers = self.write_together(&appends).await;
        for (job, answer) in current.into_iter().zip(answers) {
            drop(job.weight);
            // Whoever asked may be gone.
            let _ = job.answer.send(answer);
        }
    }

    /// All in one transaction. Where another node was in between, or one append can't be written, each is decided again in a
    /// transaction of its own, once.
    async fn write_together(&mut self, appends: &[&Append]) -> Vec<Answer> {
        let until = Instant::now() + self.db.deadline();
        match self.transaction(appends).await {
            Ok(written) => return written.answers,
            Err(Fault::Refused { again: true, .. }) => {}
            Err(fault) => return appends.iter().map(|_| Err(failed(&fault))).collect(),
        }
        let mut answers = Vec::with_capacity(appends.len());
        for append in appends {
            answers.push(if Instant::now() < until { self.write_alone(append).await } else { Err(too_late()) });
        }
        answers
    }

    async fn write_alone(&mut self, append: &Append) -> Answer {
        match self.transaction(&[append]).await {
            Ok(mut written) => written.answers.pop().unwrap_or_else(|| Err(too_late())),
            Err(fault) => Err(failed(&fault)),
        }
    }

    /// A connection that broke before COMMIT is replaced once: the server may have been restarted since the last group.
    async fn transaction(&mut self, appends: &[&Append]) -> Result<Written, Fault> {
        let kept = self.connection.is_some();
        let started = Instant::now();
        match self.attempt(appends).await {
            Err(Fault::Broken(_)) if kept && started.elapsed() < self.db.deadline() / 2 => self.attempt(appends).await,
            result => result,
        }
    }

    async fn attempt(&mut self, appends: &[&Append]) -> Result<Written, Fault> {
        let deadline = self.db.deadline();
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.db.connection(self.db.connect_options()).await.map_err(Fault::Broken)?,
        };
        let placement = &self.shared.placement;
        let result = transaction::run(&mut connection, placement, appends, deadline + Postgres::GRACE).await;
        if matches!(result, Ok(_) | Err(Fault::Refused { .. })) {
            self.connection = Some(connection);
        }
        let written = result?;
        // The events first: no head is to send a reader to the database for what is here.
        self.shared.keep(&written.events);
        self.shared.advance(&written.heads);
        if !written.events.is_empty() {
            self.shared.committed.notify_one();
        }
        Ok(written)
    }
}

fn failed(fault: &Fault) -> AppendError {
    AppendError::Unavailable(match fault {
        Fault::Refused { why, .. } | Fault::Broken(why) => format!("{why}; nothing was written"),
        Fault::Unknown(why) => {
            format!("{why}; it is not known whether it was written: retry with the same idempotency key")
        }
    })
}

fn too_late() -> AppendError {
    AppendError::Unavailable("other nodes were in between for too long; nothing was written".into())
}

/// The first message and whatever queued behind it, up to the size of a group; whom to tell of the end, if it was asked for.
fn drain(
    first: Message,
    queue: &mut mpsc::UnboundedReceiver<Message>,
    jobs: &mut Vec<Job>,
) -> Option<oneshot::Sender<()>> {
    let mut next = Some(first);
    let mut weight = 0;
    while let Some(message) = next {
        match message {
            Message::Write(job) => {
                weight += job.weight.num_permits();
                jobs.push(*job);
            }
            Message::Close(closed) => return Some(closed),
        }
        next = if jobs.len() < MAX_JOBS && weight < GROUP_KIB { queue.try_recv().ok() } else { None };
    }
    None
}
