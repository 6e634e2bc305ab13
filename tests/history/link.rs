//! The way from one of the gateways to SpiceDB, and what goes wrong with it in the middle of a run.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use crate::installation::{Proxy, Way, required};

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trouble {
    /// Connections break, and no new one can be made.
    Cut,
    /// They stay, and nothing passes.
    Silent,
    /// What passes is late.
    Slow,
}

/// What passes one after another is late one after another: a few of these make a second, and past that SpiceDB counts as away.
const LATE: Duration = Duration::from_millis(50);

/// The change before which it begins.
const FROM: usize = 8;

/// How long it lasts: longer than what is kept may be used.
const LASTS: Duration = Duration::from_secs(4);

pub(super) struct Link {
    proxy: Proxy,
    trouble: Trouble,
    begun: Cell<Option<Instant>>,
}

impl Link {
    pub(super) async fn with(trouble: Trouble) -> Self {
        let spicedb = required("SLUICE_TEST_SPICEDB");
        let proxy = Proxy::to(spicedb.trim_start_matches("http://")).await;
        Self { proxy, trouble, begun: Cell::default() }
    }

    /// The environment of a gateway that goes this way.
    pub(super) fn environment(&self) -> (String, String) {
        ("SLUICE__SPICEDB__ENDPOINT".to_owned(), format!("http://{}", self.proxy.address()))
    }

    /// Before a change, by its number: begins, and ends when its time is over.
    pub(super) fn before(&self, change: usize) {
        let begun = match self.begun.get() {
            None if change < FROM => return,
            None => Instant::now(),
            Some(begun) => begun,
        };
        self.begun.set(Some(begun));
        self.proxy.set(match self.trouble {
            _ if begun.elapsed() > LASTS => Way::Open,
            Trouble::Cut => Way::Cut,
            Trouble::Silent => Way::Silent,
            Trouble::Slow => Way::Slow(LATE),
        });
    }

    pub(super) fn mend(&self) {
        self.proxy.set(Way::Open);
    }

    /// Whether it has begun, and its time is not over.
    pub(super) fn lasts(&self) -> bool {
        self.begun.get().is_some_and(|begun| begun.elapsed() <= LASTS)
    }

    /// Whether it began at all: what is asked through it from then on may fail.
    pub(super) fn was_in_trouble(&self) -> bool {
        self.begun.get().is_some()
    }

    /// What somebody may be told who asks the gateway for what is not hers.
    pub(super) fn refusals(&self) -> &'static [&'static str] {
        match self.trouble {
            Trouble::Cut | Trouble::Silent => &["UNAVAILABLE"],
            Trouble::Slow => &["NOT_FOUND", "UNAVAILABLE"],
        }
    }
}
