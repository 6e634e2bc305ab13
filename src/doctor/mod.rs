//! `sluice doctor`: of each configured part, whether it answers, in which version, with which rights, and what to do.

mod heads;
mod kafka;
mod postgres;
mod report;
mod spicedb;

use std::fs;

pub(crate) use self::report::{Finding, Report};
use crate::{
    app::token_rules,
    auth::{JwksSource, KeySource, Verifier},
    config::{Config, LogKind, RelationshipsKind, StoreKind},
};

/// Looks at every configured part; changes nothing.
pub(crate) async fn examine(config: &Config) -> Report {
    let mut report = Report::default();
    let log = match config.parts.store {
        StoreKind::Embedded => {
            report.add("Store", embedded(config));
            None
        }
        StoreKind::Postgres => postgres::examine(config, &mut report).await,
    };
    match config.parts.log {
        LogKind::Store => report.add("Log", Finding::well("the store itself")),
        LogKind::Kafka => kafka::examine(config, log, &mut report).await,
    }
    kafka::examine_foreign(config, &mut report).await;
    match config.parts.relationships {
        RelationshipsKind::Embedded => report.add("Relationships", Finding::well("embedded, in the data directory")),
        RelationshipsKind::SpiceDb => spicedb::examine(config, &mut report).await,
    }
    report.add("Audit heads", heads::examine(config));
    report.add("Tokens", tokens(config).await);
    report
}

fn embedded(config: &Config) -> Finding {
    let directory = &config.data_dir;
    match fs::metadata(directory) {
        Ok(found) if found.is_dir() => Finding::well(format!("embedded, in {}", directory.display())),
        Ok(_) => Finding::bad(format!("{} is no directory: set `data_dir` to one", directory.display())),
        Err(_) => Finding::well(format!("embedded; {} will be made at the first start", directory.display())),
    }
}

async fn tokens(config: &Config) -> Finding {
    let source = match JwksSource::of(&config.auth) {
        Ok(Some(source)) => source,
        Ok(None) => return own_tokens(config),
        Err(error) => return Finding::bad(format!("`auth.jwks_url` is of no use: {error}")),
    };
    let read = source.read().await.and_then(|jwks| {
        Verifier::from_jwks(&jwks, token_rules(config)).map(|_| ()).map_err(|error| error.to_string())
    });
    match read {
        Ok(()) => Finding::well(format!("keys of the identity provider in {source}")),
        Err(why) => Finding::bad(format!("the key set {source} can't be used: {why}")),
    }
}

fn own_tokens(config: &Config) -> Finding {
    let real = config.parts.store == StoreKind::Postgres;
    let text = "signed by Sluice itself, with a key in the data directory";
    if real {
        Finding::fair(format!("{text}: for people's tokens set `auth.mode` to \"jwks_url\" or \"jwks_file\""))
    } else {
        Finding::well(text)
    }
}
