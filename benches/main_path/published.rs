//! Events of another service: produced to a topic of its own (CloudEvents, binary mode), published by Sluice, pushed to the
//! client that watches. On the real parts only.

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    producer::{BaseRecord, DefaultProducerContext, ThreadedProducer},
};

use crate::{
    enrollment,
    figures::Latencies,
    installation::{Home, on_real_parts, required},
    pace,
    watch::Arrival,
};

/// What produces, and when it did.
pub(crate) struct Producer {
    topic: String,
    member: String,
    producer: ThreadedProducer<DefaultProducerContext>,
    produced: Arc<Mutex<HashMap<String, Instant>>>,
}

/// The mapping of the topic; `None` where the parts are embedded.
pub(crate) fn configuration(home: &Home) -> Option<PathBuf> {
    if !on_real_parts() {
        return None;
    }
    let file = home.path().join("sluice.toml");
    let text = enrollment::mapping(&topic(home), home.tenant());
    fs::write(&file, text).ok().map(|()| file)
}

fn topic(home: &Home) -> String {
    format!("{}.coverage", home.tenant())
}

/// Before the server, which reads it from its beginning.
pub(crate) async fn make_topic(home: &Home) -> Result<(), String> {
    if !on_real_parts() {
        return Ok(());
    }
    enrollment::make_topics(&client(), 4, &[&topic(home)]).await
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", required("SLUICE_TEST_KAFKA"));
    config
}

impl Producer {
    /// `None` where the parts are embedded.
    pub(crate) fn new(home: &Home, member: &str) -> Result<Option<Self>, String> {
        if !on_real_parts() {
            return Ok(None);
        }
        let producer = client().set("linger.ms", "0").set("acks", "all").create().map_err(|error| error.to_string())?;
        Ok(Some(Self { topic: topic(home), member: member.to_owned(), producer, produced: Arc::default() }))
    }

    /// Produces at a steady rate; gives when each was produced, by its subject.
    pub(crate) async fn run(self, rate: u32, time: Duration) -> Result<HashMap<String, Instant>, String> {
        let count = rate as usize * usize::try_from(time.as_secs()).map_err(|error| error.to_string())?;
        let produced = self.produced.clone();
        let mut number = 0_u32;
        pace::open_loop(rate, count, move |due| {
            number += 1;
            self.produce(&format!("cov-{number}"), due);
        })
        .await?;
        Ok(std::mem::take(&mut *produced.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn produce(&self, id: &str, due: Instant) {
        let member = &self.member;
        let data = format!(
            r#"{{"coverageId":"{id}","memberId":"{member}","status":"COVERAGE_STATUS_TERMINATED","planName":"Harbor PPO","terminationDate":"2026-12-31"}}"#
        );
        self.produced.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), due);
        // One that is not taken is missed at the end.
        let _ = self.producer.send(BaseRecord::to(&self.topic).key(id).payload(&data).headers(enrollment::headers(id)));
    }
}

/// From production to arrival, of those that were produced in the window.
///
/// # Errors
/// One did not arrive, or twice.
pub(crate) fn evaluate(
    produced: &HashMap<String, Instant>,
    arrivals: &[Arrival],
    window: &std::ops::Range<Instant>,
) -> Result<Latencies, String> {
    let mut latencies = Latencies::default();
    let mut left = produced.clone();
    for arrival in arrivals.iter().filter(|arrival| produced.contains_key(&arrival.check)) {
        let due = left.remove(&arrival.check).ok_or_else(|| format!("{} arrived twice", arrival.check))?;
        if window.contains(&due) {
            latencies.record(arrival.at.saturating_duration_since(due));
        }
    }
    if left.is_empty() { Ok(latencies) } else { Err(format!("{} published events did not arrive", left.len())) }
}
