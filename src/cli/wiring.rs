//! Where the commands call the application.

use std::error::Error;

use sluice_adapters::sqlite::SqliteAudit;
use sluice_subscriptions::audit::Verified;
use tokio::net::TcpListener;

use super::{Failure, args::TokenArgs};
use crate::{
    app::{self, App, Identity},
    config::Config,
    telemetry::Metrics,
};

fn failure(error: impl Error + Send + Sync + 'static) -> Failure {
    Failure::App(Box::new(error))
}

/// Opens the data directory and builds all parts; nothing listens yet.
///
/// # Errors
/// A part cannot start.
pub async fn build(config: Config, metrics: Metrics) -> Result<App, Failure> {
    App::build(config, metrics).await.map_err(failure)
}

/// Serves until `shutdown` is done, then drains.
///
/// # Errors
/// A part failed while it ran.
pub async fn run(app: App, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
    app.run(listener, shutdown).await.map_err(failure)
}

/// A signed token.
///
/// # Errors
/// Sluice does not sign tokens here, or its key cannot be read.
pub fn token(config: &Config, args: &TokenArgs) -> Result<String, Failure> {
    let issuer = app::issuer(config, &config.data_dir).map_err(failure)?;
    let issuer = issuer.ok_or_else(|| {
        Failure::App("tokens come from the identity provider here: `auth.mode` is `jwks_file`, and Sluice has no key to sign with".into())
    })?;
    let Identity { user, tenant, purpose } = identity(args)?;
    issuer.issue(&user, &tenant, purpose, args.ttl.0).map_err(failure)
}

fn identity(args: &TokenArgs) -> Result<Identity, Failure> {
    match (args.r#as, &args.user, &args.tenant, args.purpose) {
        (Some(person), ..) => Identity::of(person).map_err(failure),
        (None, Some(user), Some(tenant), Some(purpose)) => {
            Ok(Identity { user: user.parse().map_err(failure)?, tenant: tenant.parse().map_err(failure)?, purpose })
        }
        _ => Err(Failure::App("say for whom: --as PERSON, or --user, --tenant and --purpose".into())),
    }
}

/// The graph's SDL, with a newline at its end.
pub fn schema() -> String {
    sluice_resolvers::sdl()
}

/// Checks the audit trail; what was found, for a person to read.
///
/// # Errors
/// A chain is broken, or there is none.
pub async fn audit_verify(config: &Config) -> Result<String, Failure> {
    let reader = SqliteAudit::open_read_only(config.data_dir.join("audit.db")).await.map_err(failure)?;
    match reader.verify().await.map_err(failure)? {
        Verified::Intact { records } => Ok(format!("The audit trail is whole: {records} records, each chained to the one before.")),
        Verified::Broken { writer, number, why } => Err(Failure::App(
            format!("the audit trail is broken at record {number} of writer {writer}: {why}; keep the file as it is, and find out who wrote to it").into(),
        )),
    }
}
