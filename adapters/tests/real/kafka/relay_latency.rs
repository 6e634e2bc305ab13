//! How long an event takes from its append to Kafka's confirmation, and what the metrics say of it.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tokio::time::interval;

use super::relay_support::{Rig, Running};

const EVENTS: usize = 2000;
const EVERY: Duration = Duration::from_millis(5);

/// When each record was counted as confirmed.
#[derive(Default)]
struct Confirmed(Mutex<Vec<Instant>>);

impl CounterFn for Confirmed {
    fn increment(&self, count: u64) {
        self.0.lock().unwrap().extend((0..count).map(|_| Instant::now()));
    }

    fn absolute(&self, _: u64) {}
}

struct Counted(Arc<Confirmed>);

impl Recorder for Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match key.name() {
            "sluice_relay_records_total" => Counter::from_arc(self.0.clone()),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// On one thread, the relay too: the recorder is that thread's.
#[tokio::test]
async fn an_event_is_confirmed_in_milliseconds() {
    let confirmed = Arc::new(Confirmed::default());
    let recorder = Counted(confirmed.clone());
    let _guard = metrics::set_default_local_recorder(&recorder);
    let rig = Rig::new().await;
    let running = Running::start(rig.relay());
    rig.append(1);
    rig.caught_up().await;
    confirmed.0.lock().unwrap().clear();
    let (mut ticks, mut appended) = (interval(EVERY), Vec::new());
    for _ in 0..EVENTS {
        ticks.tick().await;
        appended.push(Instant::now());
        rig.append(1);
    }
    rig.caught_up().await;
    running.stop().await.unwrap();
    let confirmed = confirmed.0.lock().unwrap();
    assert_eq!(confirmed.len(), EVENTS, "each is counted once");
    // Between partitions their order may differ by a place or two, which moves no percentile.
    let mut took: Vec<Duration> = confirmed.iter().zip(appended).map(|(at, from)| *at - from).collect();
    took.sort();
    let [p50, p99] = [50, 99].map(|percent| took[EVENTS * percent / 100]);
    eprintln!("append -> confirmed at 200/s: p50 {p50:?}, p99 {p99:?}");
    assert!(p50 < Duration::from_millis(50), "{p50:?}");
}
