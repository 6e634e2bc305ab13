//! Parts that refuse: one line when it begins and one when it is over, however many ask meanwhile; metrics count each.

use std::{
    fmt::Display,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// How long nothing may have been refused before it is over: one that works now and then has begun once.
const QUIET: Duration = Duration::from_secs(1);

/// Whether a part refuses, and how often since it began.
pub(super) struct Outage {
    part: &'static str,
    /// Spares those who are answered the lock.
    under_way: AtomicBool,
    since: Mutex<Option<Refusals>>,
}

struct Refusals {
    count: u64,
    last: Instant,
}

impl Outage {
    pub(super) fn of(part: &'static str) -> Self {
        Self { part, under_way: AtomicBool::new(false), since: Mutex::new(None) }
    }

    /// Somebody was refused; `why` holds nothing about anybody.
    pub(super) fn refused(&self, why: &dyn Display) {
        metrics::counter!("sluice_refused_total", "part" => self.part).increment(1);
        let (mut since, last) = (self.since(), Instant::now());
        match &mut *since {
            Some(refusals) => *refusals = Refusals { count: refusals.count + 1, last },
            None => {
                tracing::warn!(part = self.part, %why, "what needs this part is refused from now on");
                *since = Some(Refusals { count: 1, last });
                self.under_way.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Somebody was answered.
    pub(super) fn answered(&self) {
        if !self.under_way.load(Ordering::Relaxed) {
            return;
        }
        let mut since = self.since();
        if let Some(Refusals { count, .. }) = since.take_if(|refusals| refusals.last.elapsed() >= QUIET) {
            self.under_way.store(false, Ordering::Relaxed);
            tracing::info!(part = self.part, refused = count, "what needs this part is answered again");
        }
    }

    fn since(&self) -> MutexGuard<'_, Option<Refusals>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    /// What was logged, in lines.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn lines(&self) -> Vec<String> {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_told_once_when_it_begins_and_once_when_it_is_over() {
        let (log, recorder) = (Log::default(), PrometheusBuilder::new().build_recorder());
        let written = log.clone();
        // With one subscriber alone, a place in the code that another test comes to first is switched off for good: its thread has
        // none (tracing-core, `callsite`).
        let _other = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(io::sink).finish());
        let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false);
        let _logged = tracing::subscriber::set_default(subscriber.with_writer(move || written.clone()).finish());
        let _counted = metrics::set_default_local_recorder(&recorder);
        let outage = Outage::of("store");
        outage.answered();
        assert!(log.lines().is_empty());
        for _ in 0..2 {
            (0..50).for_each(|_| outage.refused(&"the connection broke"));
            // Between others that are refused.
            outage.answered();
        }
        assert_eq!(log.lines().len(), 1, "{:?}", log.lines());
        tokio::time::advance(QUIET).await;
        (0..10).for_each(|_| outage.answered());
        let lines = log.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].contains("WARN") && lines[0].contains(r#"part="store" why=the connection broke"#),
            "{lines:?}"
        );
        assert!(lines[1].contains(r#"part="store" refused=100"#), "{lines:?}");
        assert!(recorder.handle().render().contains(r#"sluice_refused_total{part="store"} 100"#));
        outage.refused(&"again");
        assert_eq!(log.lines().len(), 3, "the next one is another");
    }
}
