//! What goes on meanwhile: a thousand events a second of the one member, appended as a payer's answers are.

use std::{sync::Arc, time::Duration};

use sluice_domain::{
    publish::{Cause, Envelope, member_key},
    store::{Append, Appended},
};
use sluice_schema::{
    channel::Channel,
    event::StreamId,
    ids::MemberId,
    proto::{
        eligibility::{Coverage, EligibilityCheck, EligibilityCheckChanged, EligibilityState},
        header::{Provenance, Subject},
    },
};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::house::{House, MEMBER};

/// Appended together, a hundred times a second.
const TOGETHER: u64 = 10;
const EVERY: Duration = Duration::from_millis(10);

pub(crate) struct Load {
    stop: CancellationToken,
    task: JoinHandle<Result<f64, String>>,
}

impl Load {
    /// How many events a second there were.
    pub(crate) async fn stop(self) -> Result<f64, String> {
        self.stop.cancel();
        self.task.await.map_err(|error| error.to_string())?
    }
}

pub(crate) fn start(house: &House) -> Load {
    let (stop, ports, tenant) = (CancellationToken::new(), Arc::clone(&house.ports), house.tenant.clone());
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        let member: MemberId = MEMBER.parse().map_err(|_| "not a member's id")?;
        let owner = member_key(&member);
        let key = ports.keyring.create_or_get(&tenant, &owner).await.map_err(|error| error.to_string())?;
        let (mut ticks, mut version, begun) = (interval(EVERY), 0, Instant::now());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while !stopped.is_cancelled() {
            ticks.tick().await;
            let seal = |_| {
                let envelope = Envelope {
                    tenant: tenant.clone(),
                    subject: Subject { r#type: "EligibilityCheck".into(), id: "ec-1".into() },
                    routing_key: owner.clone(),
                    channel: Channel::eligibility_check(&member, &"ec-1".parse().map_err(|_| "not an id")?),
                    occurred_at: jiff::Timestamp::now(),
                    producer: "bench".into(),
                    cause: Cause::default(),
                    provenance: Provenance::default(),
                };
                envelope.seal_state(&key, &changed()).map_err(|error| error.to_string())
            };
            let events = (0..TOGETHER).map(seal).collect::<Result<Vec<_>, String>>()?;
            let stream = StreamId::of("EligibilityCheck", "ec-1");
            let append =
                Append { tenant: tenant.clone(), stream, expected_version: version, events, idempotency: None };
            match ports.store.append(append).await {
                Ok(Appended::Fresh { .. }) => version += TOGETHER,
                other => return Err(format!("not appended: {other:?}")),
            }
        }
        Ok(version as f64 / begun.elapsed().as_secs_f64())
    });
    Load { stop, task }
}

fn changed() -> EligibilityCheckChanged {
    let coverage = Coverage { active: Some(true), plan_name: Some("Harbor PPO 1500".into()), ..Coverage::default() };
    let after = EligibilityCheck {
        id: "ec-1".into(),
        member_id: MEMBER.into(),
        state: EligibilityState::Answered.into(),
        coverage: Some(coverage),
        ..EligibilityCheck::default()
    };
    EligibilityCheckChanged { before: None, after: Some(after), changed: vec!["state".into()] }
}
