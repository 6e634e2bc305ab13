//! What goes on meanwhile: a thousand events a second of the one member, appended as a payer's answers are.

use std::{sync::Arc, time::Duration};

use sluice::app::Ports;
use sluice_schema::proto::eligibility::{Coverage, EligibilityCheck, EligibilityState};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    house::{House, MEMBER},
    installation::Check,
};

/// Appended together, a hundred times a second.
const TOGETHER: usize = 10;
const EVERY: Duration = Duration::from_millis(10);

pub(crate) struct Load {
    stop: CancellationToken,
    task: JoinHandle<f64>,
}

impl Load {
    /// How many events a second there were.
    pub(crate) async fn stop(self) -> Result<f64, String> {
        self.stop.cancel();
        self.task.await.map_err(|error| error.to_string())
    }
}

pub(crate) fn start(house: &House) -> Load {
    let stop = CancellationToken::new();
    let check = Check::new(&house.gateway.tenant, MEMBER, "ec-1");
    let task = tokio::spawn(publish(house.gateway.ports.clone(), check, stop.clone()));
    Load { stop, task }
}

async fn publish(ports: Arc<Ports>, mut check: Check, stopped: CancellationToken) -> f64 {
    let (mut ticks, mut published, begun) = (interval(EVERY), 0, Instant::now());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while !stopped.is_cancelled() {
        ticks.tick().await;
        check.publish(&ports, vec![answered(); TOGETHER]).await;
        published += TOGETHER;
    }
    published as f64 / begun.elapsed().as_secs_f64()
}

fn answered() -> EligibilityCheck {
    let coverage = Coverage { active: Some(true), plan_name: Some("Harbor PPO 1500".into()), ..Coverage::default() };
    let state = EligibilityState::Answered.into();
    EligibilityCheck { state, coverage: Some(coverage), ..EligibilityCheck::default() }
}
