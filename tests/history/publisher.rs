//! Events, all the time.

use std::{cell::Cell, time::Duration};

use fastrand::Rng;
use jiff::Timestamp;
use sluice_schema::proto::eligibility::{Benefit, Coverage, EligibilityCheck, EligibilityState, Limitation};
use tokio::{sync::watch, time::interval};

use super::{
    people::MEMBERS,
    record::{Event, Span, check_id},
};
use crate::installation::{Check, Gateway};

/// Between one event and the next.
const EVERY: Duration = Duration::from_millis(4);

/// Publishes an event at a time, of either member.
pub(super) struct Publisher<'g> {
    gateway: &'g Gateway,
    random: Rng,
    pub(super) events: Vec<Event>,
    /// How many there are.
    pub(super) count: watch::Sender<usize>,
}

impl<'g> Publisher<'g> {
    pub(super) fn new(gateway: &'g Gateway, seed: u64) -> Self {
        Self { gateway, random: Rng::with_seed(!seed), events: Vec::new(), count: watch::Sender::new(0) }
    }

    pub(super) async fn until(mut self, over: &Cell<bool>) -> Self {
        let mut ticks = interval(EVERY);
        while !over.get() {
            ticks.tick().await;
            let member = self.random.usize(..MEMBERS.len());
            self.publish(member).await;
        }
        self
    }

    pub(super) async fn publish(&mut self, member: usize) {
        let id = check_id(self.events.len());
        let sent = Timestamp::now();
        let mut check = Check::new(&self.gateway.tenant, MEMBERS[member], &id);
        check.publish(&self.gateway.ports, vec![answered()]).await;
        self.events.push(Event { member, at: Span { sent, answered: Timestamp::now() } });
        self.count.send_replace(self.events.len());
    }
}

/// Something in each of [`FIELDS`].
fn answered() -> EligibilityCheck {
    let benefit = || vec![Benefit { name: Some("Active Coverage".into()), ..Benefit::default() }];
    let coverage = Coverage {
        plan_name: Some("Harbor PPO 1500".into()),
        plan_number: Some("HP-1500".into()),
        group_name: Some("Kestrel Boatworks".into()),
        limitations: vec![Limitation { text: Some("20 visits a year.".into()), ..Limitation::default() }],
        behavioral_health_benefits: benefit(),
        hiv_benefits: benefit(),
        substance_use_benefits: benefit(),
        ..Coverage::default()
    };
    let state = EligibilityState::Answered.into();
    EligibilityCheck { state, coverage: Some(coverage), ..EligibilityCheck::default() }
}
