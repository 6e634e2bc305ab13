//! Logs and metrics.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::config::{LogFormat, Telemetry};

/// How often histograms are folded together. Without it they would grow until the next scrape.
const UPKEEP: Duration = Duration::from_secs(5);

/// Why logs or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("bad value for `telemetry.log_filter`: {0}")]
    BadFilter(#[from] ParseError),
    #[error("logs or metrics are set up already in this process: {0}")]
    Twice(String),
}

/// Sends logs to stderr, and collects metrics from now on. Once per process.
///
/// # Errors
/// The filter is not of `EnvFilter`'s syntax, or it was called before.
pub fn start(config: &Telemetry) -> Result<Metrics, TelemetryError> {
    let filter = EnvFilter::try_new(&config.log_filter)?;
    let ansi = io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(io::stderr);
    match config.log_format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    }
    .map_err(|error| TelemetryError::Twice(error.to_string()))?;
    let handle = PrometheusBuilder::new().install_recorder().map_err(|e| TelemetryError::Twice(e.to_string()))?;
    Ok(Metrics { handle })
}

/// What the process has counted and measured.
#[derive(Debug, Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Metrics that nothing in the process reports to: for tests that need a server, but no figures.
    pub fn detached() -> Self {
        Self { handle: PrometheusBuilder::new().build_recorder().handle() }
    }

    /// All metrics in Prometheus's text format, version 0.0.4.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Keeps them small until `token` is cancelled; for [`crate::shutdown::Tasks::spawn`].
    pub async fn upkeep(self, token: CancellationToken) {
        let mut ticks = tokio::time::interval(UPKEEP);
        while token.run_until_cancelled(ticks.tick()).await.is_some() {
            self.handle.run_upkeep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_is_refused_by_its_key() {
        let config = Telemetry { log_filter: "sluice=loud".into(), ..Telemetry::default() };
        let text = start(&config).unwrap_err().to_string();
        assert!(text.starts_with("bad value for `telemetry.log_filter`: "), "{text}");
    }

    #[test]
    fn metrics_are_rendered_for_prometheus() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let rendered = Metrics { handle: recorder.handle() };
        metrics::with_local_recorder(&recorder, || metrics::counter!("sluice_things_total").increment(3));
        assert!(rendered.render().contains("sluice_things_total 3"), "{}", rendered.render());
    }

    #[tokio::test(start_paused = true)]
    async fn upkeep_ends_with_its_token() {
        let token = CancellationToken::new();
        let upkeep = tokio::spawn(Metrics::detached().upkeep(token.clone()));
        tokio::time::advance(UPKEEP * 2).await;
        assert!(!upkeep.is_finished());
        token.cancel();
        upkeep.await.unwrap();
    }
}
