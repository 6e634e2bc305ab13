//! The load: checks at a steady rate, and one client that watches them all.

use std::{
    collections::HashMap,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::mpsc};

use crate::{
    client::{Client, since},
    figures::Latencies,
    pace,
    plan::{Plan, TAIL},
    published::{self, Producer},
    server::{Server, Usage},
    watch::{Arrival, Watcher, times_seen},
};

/// How often it is tried to be heard by the subscriber before the load begins, and how long each waits.
const PROBES: usize = 20;
const PROBE_WAIT: Duration = Duration::from_millis(250);

/// A request that was acknowledged.
struct Acknowledged {
    /// When it was to be sent. A request that is sent late because the one before it was slow has waited all the same.
    due: Instant,
    took: Duration,
    check: String,
}

pub(crate) struct Measured {
    pub(crate) figures: Figures,
    /// How late the generator was.
    pub(crate) late: Latencies,
    pub(crate) checks: usize,
    pub(crate) events: usize,
    /// What the server used in all, and what it held at the end.
    pub(crate) usage: Usage,
}

#[derive(Default)]
pub(crate) struct Figures {
    /// From the due time of the request to its answer.
    pub(crate) acknowledgement: Latencies,
    /// From the header's `occurredAt`, stamped before the append begins, to the arrival at the subscriber.
    pub(crate) appended: Latencies,
    /// Those of them that tell that a check was accepted, and those that tell its answer.
    pub(crate) appended_accepted: Latencies,
    pub(crate) appended_answered: Latencies,
    /// From the due time of the request to the arrival of the event that it was accepted, and of its answer.
    pub(crate) request_to_accepted: Latencies,
    pub(crate) request_to_answered: Latencies,
    /// From the production of another service's event to its arrival at the subscriber; empty where the parts are embedded.
    pub(crate) published: Latencies,
}

pub(crate) async fn run(plan: &Plan, server: &Server) -> Result<Measured, String> {
    let (member, billing) = (server.viewer("member")?, server.viewer("billing")?);
    let client = Client::new(&server.ready.graphql, billing, &member.id)?;
    let mut watcher = Watcher::start(&server.ready.subscriptions, member, &member.id).await?;
    let probes = go_live(&client, &mut watcher).await?;
    let before = server.usage()?;
    let (results, mut acknowledged) = mpsc::unbounded_channel();
    let others = Producer::new(&server.home, &member.id)?;
    let publish = async {
        match others {
            Some(producer) => producer.run(plan.baseline_rate, plan.warm_up + plan.measured).await,
            None => Ok(HashMap::new()),
        }
    };
    let (late, produced) = tokio::join!(pace::open_loop(plan.rate, plan.checks(), sender(client, results)), publish);
    let (late, produced) = (late?, produced?);
    let mut requests = Vec::with_capacity(plan.checks());
    while let Some(result) = acknowledged.recv().await {
        requests.push(result?);
    }
    let expected = probes + requests.len();
    // Where some did not come, the check for what is missing says so.
    let _ = tokio::time::timeout(TAIL, watcher.seen.wait_for(|seen| seen.ended >= expected)).await;
    let after = server.usage()?;
    let arrivals = watcher.stop().await?;
    complete(&requests, &arrivals)?;
    let usage = Usage { cpu_seconds: after.cpu_seconds - before.cpu_seconds, ..after };
    let window = window(plan, &requests);
    let published = published::evaluate(&produced, &arrivals, &window)?;
    let figures = Figures { published, ..evaluate(&window, &requests, &arrivals) };
    Ok(Measured { figures, late, checks: requests.len(), events: arrivals.len(), usage })
}

/// Asks for checks until the watcher hears of one; gives how many it took.
async fn go_live(client: &Client, watcher: &mut Watcher) -> Result<usize, String> {
    for probes in 1..=PROBES {
        client.request(&format!("probe-{probes}")).await?;
        let heard = watcher.seen.wait_for(|seen| seen.events > 0);
        if let Ok(Ok(_)) = tokio::time::timeout(PROBE_WAIT, heard).await {
            return Ok(probes);
        }
    }
    Err("the subscriber hears nothing".into())
}

/// Sends a request on the clients' runtime, and its outcome to `results`.
fn sender(client: Client, results: mpsc::UnboundedSender<Result<Acknowledged, String>>) -> impl FnMut(Instant) + Send {
    let (handle, client) = (Handle::current(), Arc::new(client));
    let mut number = 0_u64;
    move |due| {
        number += 1;
        let (client, results, key) = (client.clone(), results.clone(), format!("load-{number}"));
        handle.spawn(async move {
            let result = client.request(&key).await;
            let took = due.elapsed();
            // Nobody listens where an earlier one has failed the whole.
            let _ = results.send(result.map(|check| Acknowledged { due, took, check: check.id }));
        });
    }
}

/// Every acknowledged check arrived once as accepted and once as answered.
fn complete(requests: &[Acknowledged], arrivals: &[Arrival]) -> Result<(), String> {
    for state in ["ACCEPTED", "ANSWERED"] {
        let seen = times_seen(arrivals, state);
        let times = |request: &Acknowledged| seen.get(request.check.as_str()).map_or(0, |(times, _)| *times);
        let wrong = requests.iter().filter(|request| times(request) != 1).count();
        if wrong > 0 {
            return Err(format!("{wrong} of {} checks did not arrive exactly once as {state}", requests.len()));
        }
    }
    Ok(())
}

/// When measuring is on.
fn window(plan: &Plan, requests: &[Acknowledged]) -> Range<Instant> {
    let first = requests.iter().map(|request| request.due).min().unwrap_or_else(Instant::now);
    first + plan.warm_up..first + plan.warm_up + plan.measured
}

fn evaluate(window: &Range<Instant>, requests: &[Acknowledged], arrivals: &[Arrival]) -> Figures {
    let mut figures = Figures::default();
    figures.add_requests(window, requests, arrivals);
    arrivals.iter().for_each(|arrival| figures.add_arrival(window, arrival));
    figures
}

impl Figures {
    /// What counts are requests that were due in the window.
    fn add_requests(&mut self, window: &Range<Instant>, requests: &[Acknowledged], arrivals: &[Arrival]) {
        let (accepted, answered) = (times_seen(arrivals, "ACCEPTED"), times_seen(arrivals, "ANSWERED"));
        for Acknowledged { due, took, check } in requests.iter().filter(|request| window.contains(&request.due)) {
            self.acknowledgement.record(*took);
            for (seen, latencies) in
                [(&accepted, &mut self.request_to_accepted), (&answered, &mut self.request_to_answered)]
            {
                if let Some((_, arrival)) = seen.get(check.as_str()) {
                    latencies.record(arrival.at.saturating_duration_since(*due));
                }
            }
        }
    }

    /// What counts are events that were appended in the window.
    fn add_arrival(&mut self, window: &Range<Instant>, arrival: &Arrival) {
        let took = since(arrival.occurred, arrival.clock);
        // When it was appended, on the clock that the requests are timed by.
        if !arrival.at.checked_sub(took).is_some_and(|appended| window.contains(&appended)) {
            return;
        }
        self.appended.record(took);
        match arrival.state.as_deref() {
            Some("ACCEPTED") => self.appended_accepted.record(took),
            Some(_) => self.appended_answered.record(took),
            None => {}
        }
    }
}
