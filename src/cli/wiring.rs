//! Where the commands call the application.

use std::{error::Error, fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

use sluice_adapters::postgres::{self, MasterKey, Postgres, PostgresKeyring, PostgresOptions};
use tokio::net::TcpListener;

use super::{
    Failure,
    args::{MigrateArgs, RotateArgs, TokenArgs},
};
use crate::{
    app::{self, App, Identity},
    config::Config,
    telemetry::Metrics,
};

pub(super) fn failure(error: impl Error + Send + Sync + 'static) -> Failure {
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

/// How long connecting and each statement of a rotation may take.
const ROTATION: Duration = Duration::from_secs(60);

/// Wraps the tenants' keys with another master key; what was done, for a person to read.
///
/// # Errors
/// A file is no key, the old one is not the one that counts, or the database refuses.
pub async fn rotate_master_key(args: &RotateArgs) -> Result<String, Failure> {
    let [old, new] = [&args.old, &args.new].map(MasterKey::from_file);
    let (old, new) = (old.map_err(failure)?, new.map_err(failure)?);
    let options = PostgresOptions { url: args.url.clone(), max_connections: 1, deadline: ROTATION };
    let db = Postgres::connect(&options).await.map_err(failure)?;
    let rotated = PostgresKeyring::rotate_master(&db, &old, &new).await;
    db.close().await;
    Ok(match rotated.map_err(failure)? {
        0 => "The new master key counts; no tenant's keys had to be wrapped anew.".into(),
        tenants => format!(
            "The keys of {tenants} tenants are wrapped with the new master key. Give every node the new file and restart it; \
             backups from before still need the old one."
        ),
    })
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
