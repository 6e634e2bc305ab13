//! What people do without a push: wait for the payer in the call, or ask again every second.

use std::time::{Duration, Instant};

use axum::{Json, Router, routing::post};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Handle, sync::mpsc};

use crate::{
    client::{Client, since},
    figures::Latencies,
    pace,
    plan::{PAYER, POLL_EVERY, Plan, TAIL},
    server::Server,
};

pub(crate) struct Baselines {
    /// How long a caller waits who gets the payer's answer in the response.
    pub(crate) synchronous: Latencies,
    /// From `completedAt`, when the answer was there, to the poll that shows it.
    pub(crate) noticed: Latencies,
    pub(crate) polls: usize,
    pub(crate) checks: usize,
    /// What the server used for those who polled.
    pub(crate) cpu_seconds: f64,
}

pub(crate) async fn run(plan: &Plan, server: &Server) -> Result<Baselines, String> {
    let (polled, synchronous) = tokio::try_join!(poll(plan, server), synchronous(plan))?;
    Ok(Baselines { synchronous, ..polled })
}

/// A bare server that waits for the payer and does nothing else: the best that a synchronous call can be.
async fn synchronous(plan: &Plan) -> Result<Latencies, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let url = format!("http://{}/", listener.local_addr().map_err(|error| error.to_string())?);
    let router = Router::new().route("/", post(answer_late));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let http = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
    let (results, waited) = mpsc::unbounded_channel();
    let handle = Handle::current();
    let send = move |due: Instant| {
        let (call, results) = (http.post(&url).json(&json!({ "check": 1 })).send(), results.clone());
        handle.spawn(async move {
            let result = call.await.and_then(reqwest::Response::error_for_status);
            // Nobody listens where an earlier one has failed the whole.
            let _ = results.send(result.map(|_| due.elapsed()).map_err(|error| error.to_string()));
        });
    };
    pace::open_loop(plan.baseline_rate, plan.baseline_checks(), send).await?;
    let latencies = gather(waited, |latencies: &mut Latencies, took| latencies.record(took)).await;
    serving.abort();
    latencies
}

async fn answer_late() -> Json<Value> {
    tokio::time::sleep(PAYER).await;
    Json(json!({ "state": "ANSWERED" }))
}

struct Noticed {
    after: Duration,
    polls: usize,
}

async fn poll(plan: &Plan, server: &Server) -> Result<Baselines, String> {
    let (member, billing) = (server.viewer("member")?, server.viewer("billing")?);
    let client = Client::new(&server.ready.graphql, billing, &member.id)?;
    let before = server.usage()?.cpu_seconds;
    let (results, noticed) = mpsc::unbounded_channel();
    let handle = Handle::current();
    let mut number = 0_u64;
    let send = move |_due: Instant| {
        number += 1;
        let (client, results, key) = (client.clone(), results.clone(), format!("polled-{number}"));
        handle.spawn(async move {
            let result = until_answered(&client, &key).await;
            // Nobody listens where an earlier one has failed the whole.
            let _ = results.send(result);
        });
    };
    pace::open_loop(plan.baseline_rate, plan.baseline_checks(), send).await?;
    let (noticed, polls) = gather(noticed, |(latencies, polls): &mut (Latencies, usize), one: Noticed| {
        latencies.record(one.after);
        *polls += one.polls;
    })
    .await?;
    let cpu_seconds = server.usage()?.cpu_seconds - before;
    let checks = plan.baseline_checks();
    Ok(Baselines { synchronous: Latencies::default(), noticed, polls, checks, cpu_seconds })
}

/// The first poll comes after a random part of a second: the payer takes whole seconds here, and all would otherwise ask
/// just before the answer is there.
async fn until_answered(client: &Client, key: &str) -> Result<Noticed, String> {
    let check = client.request(key).await?;
    let begun = Instant::now();
    let mut next = tokio::time::Instant::now() + POLL_EVERY.mul_f64(fastrand::f64());
    for polls in 1.. {
        tokio::time::sleep_until(next).await;
        let read = client.read(&check.id).await?;
        if read.state != "ACCEPTED" {
            let completed = read.completed_at.ok_or_else(|| format!("{} without completedAt", read.state))?;
            return Ok(Noticed { after: since(completed, Timestamp::now()), polls });
        }
        if begun.elapsed() > TAIL {
            break;
        }
        next += POLL_EVERY;
    }
    Err("a polled check was not answered in time".into())
}

async fn gather<T: Default, R>(
    mut results: mpsc::UnboundedReceiver<Result<R, String>>,
    mut add: impl FnMut(&mut T, R),
) -> Result<T, String> {
    let mut gathered = T::default();
    while let Some(result) = results.recv().await {
        add(&mut gathered, result?);
    }
    Ok(gathered)
}
