//! Where the commands call the application.

use std::{error::Error, fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use sluice_adapters::{
    postgres::{self, MasterKey, PostgresAuditReader},
    sqlite::SqliteAudit,
};
use sluice_subscriptions::audit::Verified;
use tokio::net::TcpListener;

use super::{
    Failure,
    args::{MigrateArgs, TokenArgs},
};
use crate::{
    app::{self, App, Identity},
    config::{Config, StoreKind},
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
        Failure::App(
            "tokens come from the identity provider here, as `auth.mode` says, and Sluice has no key to sign with"
                .into(),
        )
    })?;
    let Identity { user, tenant, purpose } = identity(config, args)?;
    issuer.issue(&user, &tenant, purpose, args.ttl.0).map_err(failure)
}

fn identity(config: &Config, args: &TokenArgs) -> Result<Identity, Failure> {
    match (args.r#as, &args.user, &args.tenant, args.purpose) {
        (Some(person), ..) => Identity::of(person, &config.demo.tenant).map_err(failure),
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

async fn verify(config: &Config) -> Result<Verified, Failure> {
    match config.parts.store {
        StoreKind::Embedded => {
            let reader = SqliteAudit::open_read_only(config.data_dir.join("audit.db")).await.map_err(failure)?;
            reader.verify().await.map_err(failure)
        }
        StoreKind::Postgres => {
            let reader = PostgresAuditReader::connect(&config.postgres.url.0).await.map_err(failure)?;
            reader.verify().await.map_err(failure)
        }
    }
}

/// Makes the tables, or brings them up to date; what was done, for a person to read.
///
/// # Errors
/// The database can't be reached, or refuses.
pub async fn migrate(args: &MigrateArgs) -> Result<String, Failure> {
    let options = postgres::Migrate { url: &args.url, partitions: args.partitions, grant_to: args.grant_to.as_deref() };
    let migrated = postgres::migrate(options).await.map_err(failure)?;
    Ok(match migrated.applied.len() {
        0 => format!("The schema is up to date: version {}.", migrated.version),
        steps => format!("The schema is now version {}: {steps} steps were missing.", migrated.version),
    })
}

/// Makes the file of a new master key.
///
/// # Errors
/// The file is there, or can't be written.
pub fn master_key(file: &Path) -> Result<String, Failure> {
    let key = MasterKey::generate().map_err(failure)?;
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let written = written.and_then(|mut file| writeln!(file, "{}", key.to_base64()).and_then(|()| file.sync_all()));
    written.map_err(|error| {
        Failure::App(
            format!(
                "the master key can't be written to {}: {error}; an existing file is never replaced",
                file.display()
            )
            .into(),
        )
    })?;
    Ok(format!(
        "{} holds a new master key. Keep a copy where the database's backups are not: without it nothing stored can be read.",
        file.display()
    ))
}

/// Looks at each configured part; what was found, for a person to read.
///
/// # Errors
/// A part is not as it must be; the findings are in the error.
pub async fn doctor(config: &Config) -> Result<String, Failure> {
    let report = crate::doctor::examine(config).await;
    if report.is_sound() {
        Ok(report.to_string())
    } else {
        Err(Failure::App(format!("not all is well\n{report}").into()))
    }
}

/// Checks the audit trail; what was found, for a person to read.
///
/// # Errors
/// A chain is broken, or there is none.
pub async fn audit_verify(config: &Config) -> Result<String, Failure> {
    match verify(config).await? {
        Verified::Intact { records } => Ok(format!("The audit trail is whole: {records} records, each chained to the one before.")),
        Verified::Broken { writer, number, why } => Err(Failure::App(
            format!("the audit trail is broken at record {number} of writer {writer}: {why}; keep the file as it is, and find out who wrote to it").into(),
        )),
    }
}
