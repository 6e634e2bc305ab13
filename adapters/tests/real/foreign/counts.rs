//! What a reader counts and warns of, to be waited for. Of the test's own thread, so that tests don't see each other's.

use std::{collections::BTreeMap, fmt, sync::Arc};

use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tokio::{sync::watch, time::timeout};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span,
};

use super::setup::LONG;

/// `sluice_foreign_events_total`, by outcome.
#[derive(Clone, Default)]
pub(super) struct Counts(watch::Sender<BTreeMap<String, u64>>);

impl Counts {
    pub(super) fn of(&self, outcome: &str) -> u64 {
        self.0.borrow().get(outcome).copied().unwrap_or_default()
    }

    /// Waits until so many records have come to an end, whichever.
    pub(super) async fn reach(&self, records: usize) {
        let mut counts = self.0.subscribe();
        let reached = counts.wait_for(|counts| counts.values().sum::<u64>() >= records as u64);
        timeout(LONG, reached).await.unwrap_or_else(|_| panic!("not {records}: {:?}", self.0.borrow())).unwrap();
    }

    pub(super) fn reset(&self) {
        self.0.send_replace(BTreeMap::new());
    }
}

struct Outcome(Counts, String);

impl CounterFn for Outcome {
    fn increment(&self, value: u64) {
        self.0.0.send_modify(|counts| *counts.entry(self.1.clone()).or_default() += value);
    }

    fn absolute(&self, _: u64) {}
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let outcome = key.labels().find(|label| label.key() == "outcome");
        match outcome.filter(|_| key.name() == "sluice_foreign_events_total") {
            Some(outcome) => Counter::from_arc(Arc::new(Outcome(self.clone(), outcome.value().to_owned()))),
            None => Counter::noop(),
        }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// The warnings, each with its fields.
#[derive(Clone, Default)]
pub(super) struct Warnings(watch::Sender<Vec<String>>);

impl Warnings {
    /// Waits for one that holds the text.
    pub(super) async fn one_says(&self, text: &str) {
        let mut warnings = self.0.subscribe();
        let said = warnings.wait_for(|warnings| warnings.iter().any(|warning| warning.contains(text)));
        timeout(LONG, said).await.unwrap_or_else(|_| panic!("not said: {:?}", self.0.borrow())).unwrap();
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && metadata.is_event()
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        self.0.send_modify(|warnings| warnings.push(text.0));
    }

    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}
