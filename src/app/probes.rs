//! Shared parts, asked how they are from time to time: `/readyz` is to name one that is away before somebody needs it.

use std::{future::Future, sync::Arc, time::Duration};

use sluice_subscriptions::log::EventLog as _;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use crate::{
    health::{Condition, Health},
    shutdown::Tasks,
};

/// How often each part is asked; its own deadline comes on top.
const EVERY: Duration = Duration::from_secs(2);

/// What an operator is to expect while the part is away.
const STORE: &str = "PostgreSQL does not answer: nothing is accepted or shown until it does";
const LOG: &str = "Kafka can't be read: requests are taken, and what they bring about is delivered once it can";

/// Files of this process need no probe: what can't be done with them tells.
pub(super) fn start(parts: &Parts, health: &Arc<Health>, tasks: &Tasks) {
    if parts.platform().is_none() {
        return;
    }
    let (checkpoints, epoch) = (parts.checkpoints(), parts.outbox().epoch());
    let store = move || {
        let checkpoints = checkpoints.clone();
        async move { checkpoints.load("probe", epoch).await.is_ok() }
    };
    let asked = health.clone();
    tasks.spawn("the store's probe", |token| async move { probe("store", STORE, &asked, token, store).await });
    let Some(topic) = parts.topic.clone() else { return };
    let log = move || {
        let topic = topic.clone();
        async move { topic.earliest().await.is_ok() }
    };
    let asked = health.clone();
    tasks.spawn("the log's probe", |token| async move { probe("log", LOG, &asked, token, log).await });
}

/// Asks until shutdown, and tells what changes.
async fn probe<F: Future<Output = bool>>(
    part: &'static str,
    away: &'static str,
    health: &Health,
    shutdown: CancellationToken,
    answers: impl Fn() -> F,
) {
    let mut again = interval(EVERY);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_there = true;
    let ask = async {
        loop {
            again.tick().await;
            let is_there = answers().await;
            match (was_there, is_there) {
                (true, false) => {
                    tracing::warn!(part, "{away}");
                    health.report(part, Condition::Degraded(away.into()));
                }
                (false, true) => {
                    tracing::info!(part, "it answers again");
                    health.report(part, Condition::Sound);
                }
                _ => {}
            }
            was_there = is_there;
        }
    };
    tokio::select! {
        () = ask => {}
        () = shutdown.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_part_is_named_while_it_does_not_answer() {
        let (there, health) = (AtomicBool::new(true), Health::default());
        let shutdown = CancellationToken::new();
        let answer = || std::future::ready(there.load(Ordering::Relaxed));
        let probing = probe("store", STORE, &health, shutdown.clone(), answer);
        let looking = async {
            for is_there in [true, false, false, true] {
                there.store(is_there, Ordering::Relaxed);
                // The clock is the test's own: it is past the next question.
                sleep(EVERY + Duration::from_millis(1)).await;
                assert_eq!(health.degraded().is_empty(), is_there);
            }
            shutdown.cancel();
        };
        tokio::join!(probing, looking);
    }
}
