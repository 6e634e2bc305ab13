//! What runs behind the gateways: of all processes that share the parts, one does each of these at a time.

use std::{sync::Arc, time::Duration};

use sluice_domain::eligibility::process::{EligibilityProcess, ProcessConfig};
use sluice_subscriptions::worker::Worker;
use tokio_util::sync::CancellationToken;

use super::{parts::Parts, workers::AskPayer};
use crate::{
    config::{Config, Role},
    shutdown::Tasks,
};

/// Starts what this process's roles ask for.
pub(super) fn start(parts: &Parts, config: &Config, tasks: &Tasks) {
    if config.server.has(Role::Worker) {
        ask_payers(parts, config, tasks);
    }
}

/// The worker reads the store, not the topic: checks are asked and answered while Kafka is away.
fn ask_payers(parts: &Parts, config: &Config, tasks: &Tasks) {
    let deadline = Duration::from_secs(config.eligibility.deadline_seconds);
    let process = EligibilityProcess::new(parts.eligibility(), ProcessConfig { deadline, ..ProcessConfig::default() });
    let (log, checkpoints) = (parts.outbox(), parts.checkpoints());
    let handler = Arc::new(AskPayer(process));
    let max_in_flight = config.eligibility.max_in_flight;
    let worker = move || Worker {
        name: "eligibility",
        log: log.clone(),
        checkpoints: checkpoints.clone(),
        handler: handler.clone(),
        max_in_flight,
    };
    let lease = parts.lease("eligibility");
    tasks.spawn("eligibility", |token| async move {
        let work = || run(worker(), token.clone());
        match lease {
            Some(lease) => lease.hold(token.clone(), work).await,
            None => work().await,
        }
    });
}

async fn run(worker: Worker, token: CancellationToken) {
    if let Err(error) = worker.run(token).await {
        tracing::error!(%error, "the eligibility worker stops: requested checks may never be answered");
    }
}
