//! A run: gateways, watchers, events all the time, and changes of who may see what meanwhile.

use std::time::Duration;

use jiff::Timestamp;
use sluice_schema::ids::TenantId;

use super::{
    bugs::Between,
    checker::{self, Finding},
    link::Trouble,
    record::{self, History},
    stage::Stage,
};
use crate::{harness::DEADLINE, installation::Home};

/// What is to be played.
#[derive(Clone, Copy)]
pub(crate) struct Play {
    pub(crate) seed: u64,
    pub(crate) between: Between,
    /// How long what is on its way is waited for at the end.
    pub(crate) patience: Duration,
    /// What goes wrong for a while with what the second gateway hears; on the real parts.
    pub(crate) trouble: Option<Trouble>,
}

impl Play {
    /// Where nothing is wrong.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, between: |real| real, patience: DEADLINE, trouble: None }
    }

    pub(crate) async fn play(self) -> Played {
        let home = Home::new().await;
        let stage = Stage::set(&home, &self).await;
        let tenant = stage.tenant.clone();
        let (gateways, mut history, end) = stage.run(self.seed).await;
        for gateway in gateways {
            gateway.close().await;
        }
        history.records = record::records(&home).await;
        Played { tenant, seed: self.seed, history, end }
    }
}

/// A run that is over.
pub(crate) struct Played {
    tenant: TenantId,
    seed: u64,
    pub(crate) history: History,
    end: Timestamp,
}

impl Played {
    /// What is wrong with it, or with another history of the same run.
    pub(crate) fn findings(&self, history: &History) -> Vec<Finding> {
        checker::check(&self.tenant, history, self.end)
    }

    /// Nothing is wrong with it.
    pub(crate) fn is_right(&self) {
        let findings = self.findings(&self.history);
        let told: Vec<_> = findings.iter().take(10).map(ToString::to_string).collect();
        let (seed, extent) = (self.seed, Extent::of(&self.history));
        assert!(findings.is_empty(), "seed {seed}: {} findings, such as {told:#?}; {extent:?}", findings.len());
    }
}

/// How much there was to look at.
#[derive(Debug)]
pub(crate) struct Extent {
    pub(crate) events: usize,
    pub(crate) deliveries: usize,
    /// Fields that were shown, and that were not.
    pub(crate) shown: usize,
    pub(crate) held: usize,
    /// Subscriptions that ended because nothing may be seen any more.
    pub(crate) ended: usize,
}

impl Extent {
    pub(crate) fn of(history: &History) -> Self {
        let deliveries = || history.watched.iter().flat_map(|watched| &watched.deliveries);
        let fields = |wanted| deliveries().flat_map(|one| &one.shown).filter(|shown| **shown == wanted).count();
        let ended = history.watched.iter().flat_map(|watched| &watched.subscribed).flatten().count();
        let (shown, held) = (fields(true), fields(false));
        Self { events: history.events.len(), deliveries: deliveries().count(), shown, held, ended }
    }
}
