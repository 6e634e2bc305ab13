//! Checks, joined while others are under way.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sluice_subscriptions::relationships::Check;
use spicedb_grpc_tonic::v1::CheckBulkPermissionsResponse;
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    time::{timeout, timeout_at},
};
use tonic::Status;

use super::{
    batch::{Answer, Asked, Batch, Freshness, Job, MAX_CHECKS},
    client::Client,
    fresh::Fresh,
    refusal,
};

/// Callers that may wait for their turn; more wait to be let in.
const QUEUE: usize = 1024;

/// When a caller's turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Before all others: those who share a shard wait with what is live.
    Ahead,
    Next,
}

/// Sends checks at once while fewer requests are under way than allowed. What comes meanwhile goes with the next request:
/// no caller ever waits for a timer. A request begins after all of its callers came, so full consistency holds for each.
///
/// The deadline is that of a request, from when it is sent. Where ten thousand callers come at once, the last of them wait for
/// the requests before theirs, as long as those are answered: whoever has waited for the deadline, and heard of no answer to
/// anybody for as long, is told that there is none.
pub(super) struct Checker {
    queue: mpsc::Sender<Job>,
    ahead: mpsc::Sender<Job>,
    deadline: Duration,
    /// When SpiceDB answered last.
    answered: watch::Receiver<Instant>,
}

impl Checker {
    /// Must be called within a tokio runtime. The task ends when this value is dropped.
    pub(super) fn start(client: Client, fresh: Arc<Fresh>, max_in_flight: usize) -> Self {
        let ((queue, jobs), (ahead, first)) = (mpsc::channel(QUEUE), mpsc::channel(QUEUE));
        let (told, answered) = watch::channel(Instant::now());
        let deadline = client.deadline;
        let jobs = Jobs { ahead: Queue::of(first), next: Queue::of(jobs) };
        tokio::spawn(dispatch(Sender { client, fresh, answered: Arc::new(told) }, jobs, max_in_flight));
        Self { queue, ahead, deadline, answered }
    }

    /// The answers of one caller, all at one revision.
    pub(super) async fn check(&self, at: Freshness, checks: &[Check], turn: Turn) -> Answer {
        let asking = self.ask(at, checks, turn);
        tokio::pin!(asking);
        let mut until = Instant::now() + self.deadline;
        loop {
            if let Ok(answer) = timeout_at(until.into(), asking.as_mut()).await {
                return answer;
            }
            until = *self.answered.borrow() + self.deadline;
            if until <= Instant::now() {
                return Err(refusal::call(&too_late()));
            }
        }
    }

    /// A larger call takes several requests: the first one's revision is that of the others.
    async fn ask(&self, at: Freshness, checks: &[Check], turn: Turn) -> Answer {
        let mut parts = checks.chunks(MAX_CHECKS);
        let first = self.submit(at, parts.next().unwrap_or_default(), turn).await;
        let mut checked = answer(first).await?;
        let mut rest = Vec::new();
        for part in parts {
            rest.push(self.submit(Freshness::Exact(checked.revision.clone()), part, turn).await);
        }
        for part in rest {
            let part = answer(part).await?;
            checked.allowed.extend(part.allowed);
            checked.until.extend(part.until);
        }
        Ok(checked)
    }

    async fn submit(&self, at: Freshness, checks: &[Check], turn: Turn) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        let queue = if turn == Turn::Ahead { &self.ahead } else { &self.queue };
        let job = Job { at, came: Instant::now(), checks: checks.to_vec(), reply };
        // When the task is gone the reply is dropped, which is the answer.
        let _ = queue.send(job).await;
        answer
    }
}

async fn answer(answer: oneshot::Receiver<Answer>) -> Answer {
    answer.await.unwrap_or_else(|_| Err(refusal::unavailable("a request to SpiceDB broke off")))
}

/// Jobs in the order in which they came.
struct Queue {
    jobs: mpsc::Receiver<Job>,
    /// Taken, and not fitting in where it was to go: it is the next one.
    left: Option<Job>,
}

impl Queue {
    fn of(jobs: mpsc::Receiver<Job>) -> Self {
        Self { jobs, left: None }
    }

    /// The next one whose caller still waits, if there is one.
    fn now(&mut self) -> Option<Job> {
        let mut waiting = self.left.take().into_iter().chain(std::iter::from_fn(|| self.jobs.try_recv().ok()));
        waiting.find(|job| !job.reply.is_closed())
    }

    /// Puts into the batch what fits.
    fn fill(&mut self, batch: &mut Batch) {
        while let Some(job) = self.now() {
            if let Err(job) = batch.join(job) {
                self.left = Some(job);
                return;
            }
        }
    }
}

/// What waits to be asked.
struct Jobs {
    ahead: Queue,
    next: Queue,
}

impl Jobs {
    /// `None`: there will be no more. What is live is asked about by itself: with a crowd's questions it would take longer.
    async fn batch(&mut self) -> Option<Batch> {
        loop {
            for queue in [&mut self.ahead, &mut self.next] {
                if let Some(job) = queue.now() {
                    let mut batch = Batch::of(job);
                    queue.fill(&mut batch);
                    return Some(batch);
                }
            }
            tokio::select! {
                Some(job) = self.ahead.jobs.recv() => self.ahead.left = Some(job),
                Some(job) = self.next.jobs.recv() => self.next.left = Some(job),
                else => return None,
            }
        }
    }
}

async fn dispatch(sender: Sender, mut jobs: Jobs, max_in_flight: usize) {
    let permits = Arc::new(Semaphore::new(max_in_flight));
    while let Ok(permit) = permits.clone().acquire_owned().await {
        let Some(batch) = jobs.batch().await else { return };
        let sender = sender.clone();
        tokio::spawn(async move {
            sender.send(batch).await;
            drop(permit);
        });
    }
}

/// What requests are sent with.
#[derive(Clone)]
struct Sender {
    client: Client,
    fresh: Arc<Fresh>,
    answered: Arc<watch::Sender<Instant>>,
}

impl Sender {
    async fn send(&self, batch: Batch) {
        let (mut asked, waiting) = batch.into_parts();
        let result = timeout(self.client.deadline, self.ask(&mut asked)).await;
        if matches!(result, Ok(Ok(_))) {
            self.answered.send_replace(Instant::now());
        }
        waiting.answer(&asked.request.items, result.unwrap_or_else(|_| Err(too_late())));
    }

    async fn ask(&self, asked: &mut Asked) -> Result<CheckBulkPermissionsResponse, Status> {
        asked.is_to_hold(&self.fresh).await?;
        metrics::counter!("sluice_spicedb_requests_total", "call" => "check").increment(1);
        let (client, request) = (&self.client, &asked.request);
        let call = || async { client.permissions().check_bulk_permissions(client.request(request.clone())).await };
        client.call(call).await.map(tonic::Response::into_inner)
    }
}

fn too_late() -> Status {
    Status::deadline_exceeded("no answer in time")
}
