use std::{io, net::SocketAddr, process::ExitCode};

use crate::{config::ConfigError, telemetry::TelemetryError};

/// Why a command failed: one sentence on stderr, and an exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error("cannot listen on {address}: {error}; choose another address with --listen, or port 0 for a free one")]
    Bind { address: SocketAddr, error: io::Error },
    #[error("cannot listen for SIGTERM and SIGINT: {0}")]
    Signals(#[source] io::Error),
    /// The audit trail is not whole.
    #[error("{0}")]
    Broken(String),
    /// Whether the audit trail is whole can't be told.
    #[error("the audit trail could not be verified: {0}")]
    Unverified(String),
    /// What can't be undone was not asked for twice.
    #[error("{0}")]
    Unconfirmed(String),
    /// A part could not start, or failed while it ran.
    #[error("{0}")]
    App(Box<dyn std::error::Error + Send + Sync>),
}

impl Failure {
    /// 2 where the command line or the configuration is wrong and nothing was started, and where a question has no answer; else 1.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_)
            | Self::Telemetry(TelemetryError::BadFilter(_))
            | Self::Unverified(_)
            | Self::Unconfirmed(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    #[test]
    fn what_the_caller_got_wrong_is_2_and_what_broke_is_1() {
        let sources = Sources { flags: vec![("server.listen", "nowhere".into())], ..Sources::default() };
        let wrong = Failure::from(Config::load(&sources).unwrap_err());
        assert_eq!(wrong.exit_code(), ExitCode::from(2));
        assert_eq!(Failure::App("the disk is full".into()).exit_code(), ExitCode::from(1));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_says_what_to_do() {
        let free = crate::cli::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let taken = crate::cli::bind(free.local_addr().unwrap()).await.unwrap_err();
        assert!(taken.to_string().contains("choose another address with --listen"), "{taken}");
        assert_eq!(taken.exit_code(), ExitCode::from(1));
    }
}
