//! Checks, joined while others are under way.

use std::{sync::Arc, time::Instant};

use sluice_subscriptions::relationships::Check;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tonic::Status;

use super::{
    batch::{Answer, Batch, Freshness, Job, MAX_CHECKS},
    client::Client,
    fresh::Fresh,
    refusal,
};

/// Callers that may wait for their turn; more wait to be let in.
const QUEUE: usize = 1024;

/// Sends checks at once while fewer requests are under way than allowed. What comes meanwhile goes with the next request:
/// no caller ever waits for a timer. A request begins after all of its callers came, so full consistency holds for each.
///
/// The deadline is that of a request, from when it is sent. Where ten thousand come at once, the last of them wait for the
/// requests before theirs: how long, they know themselves.
pub(super) struct Checker {
    queue: mpsc::Sender<Job>,
}

impl Checker {
    /// Must be called within a tokio runtime. The task ends when this value is dropped.
    pub(super) fn start(client: Client, fresh: Arc<Fresh>, max_in_flight: usize) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(dispatch(client, fresh, jobs, max_in_flight));
        Self { queue }
    }

    /// The answers of one caller, all at one revision. A larger call takes several requests: the first one's revision is
    /// that of the others.
    pub(super) async fn check(&self, at: Freshness, checks: &[Check]) -> Answer {
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

async fn dispatch(client: Client, fresh: Arc<Fresh>, mut jobs: mpsc::Receiver<Job>, max_in_flight: usize) {
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
        let (client, fresh) = (client.clone(), fresh.clone());
        tokio::spawn(async move {
            send(&client, &fresh, batch).await;
            drop(permit);
        });
    }
}

async fn send(client: &Client, fresh: &Fresh, batch: Batch) {
    let formed = Instant::now();
    let (asked, waiting) = batch.into_parts();
    let answered = async {
        let at = asked.at.revision(fresh, formed).await?;
        metrics::counter!("sluice_spicedb_requests_total", "call" => "check").increment(1);
        let request = asked.request(&at);
        let call = || async { client.permissions().check_bulk_permissions(client.request(request.clone())).await };
        client.call(call).await.map(tonic::Response::into_inner)
    };
    let result = tokio::time::timeout(client.deadline, answered).await;
    waiting.answer(&asked.items, result.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time"))));
}
