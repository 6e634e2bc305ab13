use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use config::{
    ConfigError as Raw, Environment, File, FileFormat, Value, ValueKind,
    builder::{ConfigBuilder, DefaultState},
};

use sluice_adapters::{jwks::JwksUrl, kafka::foreign};

use super::{
    AuthMode, Config, ConfigError, Latency,
    check::{self, must},
};
use crate::transports::InvalidTransportConfig;

/// Environment variables of a key: `SLUICE__LIMITS__MAX_DEPTH` is `limits.max_depth`.
const PREFIX: &str = "SLUICE__";

/// Keys that hold a list: in the environment its entries are separated by commas.
const LISTS: [&str; 2] = ["transports.allowed_origins", "server.roles"];

/// Where the configuration is read from, the strongest last.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Environment variables; those that do not begin with `SLUICE__` are passed over.
    pub environment: HashMap<String, String>,
    /// Values that were given as flags, by key.
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// The environment of this process; no file, no flags.
    pub fn of_process() -> Self {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Self { environment, ..Self::default() }
    }
}

impl Config {
    /// Reads and checks all sources. Flags win over the environment, the environment over the file.
    ///
    /// # Errors
    /// A key that does not exist, a value of the wrong type, a value that makes no sense, a file that cannot be read.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let raw = merge(sources)?;
        let config: Self = serde_path_to_error::deserialize(raw.clone()).map_err(|error| {
            let key = error.path().to_string();
            let why = reason(error.inner());
            let set_in = origin(sources, &raw, &key);
            match why.strip_prefix("unknown field ").and_then(|rest| rest.split_once(", ")) {
                Some((_, hint)) => ConfigError::UnknownKey { key, set_in, hint: hint.into() },
                None => ConfigError::BadValue { key, set_in, why },
            }
        })?;
        check(&config).map_err(|(key, why)| ConfigError::bad(&key, origin(sources, &raw, &key), why))?;
        Ok(config)
    }
}

fn merge(sources: &Sources) -> Result<config::Config, ConfigError> {
    let environment = Environment::with_prefix("SLUICE").prefix_separator("__").separator("__");
    let mut builder = ConfigBuilder::<DefaultState>::default();
    if let Some(path) = &sources.file {
        builder = builder.add_source(File::from_str(&read(path)?, FileFormat::Toml));
    }
    builder = builder.add_source(environment.source(Some(sources.environment.clone())));
    for key in LISTS {
        if let Some(text) = sources.environment.get(&variable(key)) {
            let entries: Vec<&str> = text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
            builder = builder.set_override(key, entries).map_err(|error| unreadable(sources, &error))?;
        }
    }
    for (key, value) in &sources.flags {
        builder = builder.set_override(*key, value.clone()).map_err(|error| unreadable(sources, &error))?;
    }
    builder.build().map_err(|error| unreadable(sources, &error))
}

/// Read here and not by the crate, which says "not found" for every trouble and rewrites the path.
fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|why| ConfigError::Unreadable { path: path.into(), why: why.to_string() })
}

fn unreadable(sources: &Sources, error: &Raw) -> ConfigError {
    let why = match error {
        Raw::FileParse { cause, .. } => one_line(&cause.to_string()),
        other => one_line(&other.to_string()),
    };
    ConfigError::Unreadable { path: sources.file.clone().unwrap_or_default(), why }
}

/// A TOML error is a drawing; its first and last line say the place and the fault.
fn one_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next_back()) {
        (Some(place), Some(fault)) => format!("{place}: {fault}"),
        (only, _) => only.unwrap_or_default().into(),
    }
}

fn reason(error: &Raw) -> String {
    match error {
        Raw::At { error, .. } => reason(error),
        Raw::Type { unexpected, expected, .. } => format!("expected {expected}, found {unexpected}"),
        other => other.to_string(),
    }
}

/// Where a key was set, in words that follow the key's name.
fn origin(sources: &Sources, raw: &config::Config, key: &str) -> String {
    if sources.flags.iter().any(|(flag, _)| *flag == key) {
        let flag = key.rsplit('.').next().unwrap_or(key);
        return format!("from --{} (or SLUICE_{})", flag.replace('_', "-"), flag.to_uppercase());
    }
    let mut value = &raw.cache;
    for segment in key.split('.') {
        match &value.kind {
            ValueKind::Table(table) if table.contains_key(segment) => value = &table[segment],
            _ => break,
        }
    }
    let listed = LISTS.contains(&key) && sources.environment.contains_key(&variable(key));
    match (any_origin(value), &sources.file) {
        (None, Some(file)) if !listed => format!("in {}", file.display()),
        _ => format!("in the environment (variable {})", variable(key)),
    }
}

/// The environment variable of a key.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

/// Only the environment gives its values an origin, and a table has that of what is in it.
fn any_origin(value: &Value) -> Option<&str> {
    match &value.kind {
        ValueKind::Table(table) => table.values().find_map(any_origin),
        _ => value.origin(),
    }
}

/// What types cannot say. The key at fault, and what it must be.
fn check(config: &Config) -> Result<(), (String, String)> {
    transports(config)?;
    jwks_url(config)?;
    foreign::check_all(&config.foreign_topics).map_err(|why| ("foreign_topics".to_owned(), why.to_string()))?;
    sections(config)
        .and_then(|()| auth(config))
        .and_then(|()| check::parts(config))
        .map_err(|(key, what)| (key.into(), what.into()))
}

fn transports(config: &Config) -> Result<(), (String, String)> {
    config.transports.validate().map_err(|why| {
        let name = match why {
            InvalidTransportConfig::Zero(name) | InvalidTransportConfig::Above(name, _) => name,
            InvalidTransportConfig::Origin => "allowed_origins",
        };
        (format!("transports.{name}"), why.to_string())
    })
}

fn jwks_url(config: &Config) -> Result<(), (String, String)> {
    let Some(url) = &config.auth.jwks_url else { return Ok(()) };
    JwksUrl::check(url).map_err(|why| ("auth.jwks_url".to_owned(), why.to_string()))
}

fn auth(config: &Config) -> Result<(), (&'static str, &'static str)> {
    let auth = &config.auth;
    must(!auth.issuer.is_empty(), "auth.issuer", "it must be what the tokens' `iss` says")?;
    must(!auth.audience.is_empty(), "auth.audience", "it must be what the tokens' `aud` holds")?;
    must(auth.leeway_seconds <= 300, "auth.leeway_seconds", "it must be at most 300")?;
    must(
        (1..=86_400).contains(&auth.jwks_refresh_seconds),
        "auth.jwks_refresh_seconds",
        "it must be 1 to 86400: a key that is withdrawn counts until the keys are read again",
    )?;
    must(
        auth.mode != AuthMode::JwksFile || auth.jwks_file.is_some(),
        "auth.mode",
        "the mode \"jwks_file\" needs the key `auth.jwks_file`",
    )?;
    must(
        auth.mode != AuthMode::JwksUrl || auth.jwks_url.is_some(),
        "auth.mode",
        "the mode \"jwks_url\" needs the key `auth.jwks_url`",
    )
}

fn sections(config: &Config) -> Result<(), (&'static str, &'static str)> {
    let clearinghouse = &config.eligibility.clearinghouse;
    let limits = &config.limits;
    let one = "it must be at least 1";

    must(config.server.shards <= 1024, "server.shards", "it must be at most 1024")?;
    must(limits.max_depth > 0, "limits.max_depth", one)?;
    must(limits.max_aliases > 0, "limits.max_aliases", one)?;
    must(limits.max_tokens > 0, "limits.max_tokens", one)?;
    must(limits.max_complexity > 0, "limits.max_complexity", one)?;
    must(!config.data_dir.as_os_str().is_empty(), "data_dir", "it must name a directory")?;
    must(
        (500..=60_000).contains(&config.auth.max_revocation_staleness_ms),
        "auth.max_revocation_staleness_ms",
        "it must be 500 to 60000: the list is read four times a second",
    )?;
    must(
        (1..=86_400).contains(&config.audit.head_interval_seconds),
        "audit.head_interval_seconds",
        "it must be 1 to 86400",
    )?;
    must(config.eligibility.deadline_seconds > 0, "eligibility.deadline_seconds", one)?;
    must(config.eligibility.max_in_flight > 0, "eligibility.max_in_flight", one)?;
    must(
        (0.0..=1.0).contains(&clearinghouse.never_share),
        "eligibility.clearinghouse.never_share",
        "it must be between 0 and 1",
    )?;
    must(
        clearinghouse.latency != Latency::Realistic || clearinghouse.median_ms > 0,
        "eligibility.clearinghouse.median_ms",
        "it must be at least 1 where the latency is \"realistic\"",
    )?;
    must(
        clearinghouse.latency != Latency::Realistic || clearinghouse.p95_ms >= clearinghouse.median_ms,
        "eligibility.clearinghouse.p95_ms",
        "it must be at least `median_ms`",
    )
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
