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

/// Sends checks at once while fewer requests are under way than allowed. What comes meanwhile goes with the next request:
/// no caller ever waits for a timer. A request begins after all of its callers came, so full consistency holds for each.
///
/// The deadline is that of a request, from when it is sent. Where ten thousand callers come at once, the last of them wait for
/// the requests before theirs, as long as those are answered: whoever has waited for the deadline, and heard of no answer to
/// anybody for as long, is told that there is none.
pub(super) struct Checker {
    queue: mpsc::Sender<Job>,
    deadline: Duration,
    /// When SpiceDB answered last.
    answered: watch::Receiver<Instant>,
}

impl Checker {
    /// Must be called within a tokio runtime. The task ends when this value is dropped.
    pub(super) fn start(client: Client, fresh: Arc<Fresh>, max_in_flight: usize) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let (told, answered) = watch::channel(Instant::now());
        let deadline = client.deadline;
        tokio::spawn(dispatch(Sender { client, fresh, answered: Arc::new(told) }, jobs, max_in_flight));
        Self { queue, deadline, answered }
    }

    /// The answers of one caller, all at one revision.
    pub(super) async fn check(&self, at: Freshness, checks: &[Check]) -> Answer {
        let asking = self.ask(at, checks);
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
    async fn ask(&self, at: Freshness, checks: &[Check]) -> Answer {
        let mut parts = checks.chunks(MAX_CHECKS);
        let first = self.submit(at, parts.next().unwrap_or_default()).await;
        let mut checked = answer(first).await?;
        let mut rest = Vec::new();
        for part in parts {
            rest.push(self.submit(Freshness::Exact(checked.revision.clone()), part).await);
        }
        for part in rest {
            let part = answer(part).await?;
            checked.allowed.extend(part.allowed);
            checked.until.extend(part.until);
        }
        Ok(checked)
    }

    async fn submit(&self, at: Freshness, checks: &[Check]) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        // When the task is gone the reply is dropped, which is the answer.
        let _ = self.queue.send(Job { at, checks: checks.to_vec(), reply }).await;
        answer
    }
}

async fn answer(answer: oneshot::Receiver<Answer>) -> Answer {
    answer.await.unwrap_or_else(|_| Err(refusal::unavailable("a request to SpiceDB broke off")))
}

async fn dispatch(sender: Sender, mut jobs: mpsc::Receiver<Job>, max_in_flight: usize) {
    let permits = Arc::new(Semaphore::new(max_in_flight));
    let mut left = None;
    while let Ok(permit) = permits.clone().acquire_owned().await {
        let first = match left.take() {
            Some(job) => Some(job),
            None => jobs.recv().await,
        };
        let Some(first) = first else { return };
        // Its caller went away, or would wait no longer.
        if first.reply.is_closed() {
            continue;
        }
        let mut batch = Batch::of(first);
        while let Ok(job) = jobs.try_recv() {
            if job.reply.is_closed() {
                continue;
            }
            if let Err(job) = batch.join(job) {
                left = Some(job);
                break;
            }
        }
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
        let formed = Instant::now();
        let (asked, waiting) = batch.into_parts();
        let result = timeout(self.client.deadline, self.ask(&asked, formed)).await;
        if matches!(result, Ok(Ok(_))) {
            self.answered.send_replace(Instant::now());
        }
        waiting.answer(&asked.items, result.unwrap_or_else(|_| Err(too_late())));
    }

    async fn ask(&self, asked: &Asked, formed: Instant) -> Result<CheckBulkPermissionsResponse, Status> {
        let at = asked.at.revision(&self.fresh, formed).await?;
        metrics::counter!("sluice_spicedb_requests_total", "call" => "check").increment(1);
        let (client, request) = (&self.client, asked.request(&at));
        let call = || async { client.permissions().check_bulk_permissions(client.request(request.clone())).await };
        client.call(call).await.map(tonic::Response::into_inner)
    }
}

fn too_late() -> Status {
    Status::deadline_exceeded("no answer in time")
}
