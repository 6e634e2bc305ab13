//! Which settings of the real parts go together.

use sluice_schema::ids::TenantId;

use super::{Config, LogKind, RelationshipsKind, Role, StoreKind};

/// The key at fault, and what it must be.
type Fault = (&'static str, &'static str);

pub(super) fn parts(config: &Config) -> Result<(), Fault> {
    roles(config)?;
    store(config)?;
    log(config)?;
    relationships(config)?;
    let reads = config.foreign_topics.is_empty() || !config.kafka.brokers.is_empty();
    let own = config.foreign_topics.iter().any(|foreign| foreign.topic == config.kafka.topic);
    must(
        !own,
        "foreign_topics",
        "an entry names `kafka.topic`, which Sluice itself writes: name the other service's topic",
    )?;
    must(reads, "kafka.brokers", "there are `foreign_topics`, so it must name the bootstrap servers: host:port")?;
    must(config.demo.tenant.parse::<TenantId>().is_ok(), "demo.tenant", "it must be a tenant's id")
}

fn roles(config: &Config) -> Result<(), Fault> {
    let roles = &config.server.roles;
    must(!roles.is_empty(), "server.roles", "it must name at least one of \"gateway\", \"relay\", \"worker\"")?;
    let all = [Role::Gateway, Role::Relay, Role::Worker].iter().all(|role| roles.contains(role));
    let alone = config.parts.store == StoreKind::Embedded;
    must(all || !alone, "server.roles", "a process with an embedded store is alone, and must have all roles")
}

fn store(config: &Config) -> Result<(), Fault> {
    if config.parts.store != StoreKind::Postgres {
        return Ok(());
    }
    let postgres = &config.postgres;
    let url = &postgres.url.0;
    let scheme = url.starts_with("postgres://") || url.starts_with("postgresql://");
    must(
        scheme,
        "postgres.url",
        "`parts.store` is \"postgres\", so it must be the database's URL: postgres://user:password@host/database",
    )?;
    must(postgres.max_connections >= 4, "postgres.max_connections", "it must be at least 4")?;
    must(postgres.deadline_ms > 0, "postgres.deadline_ms", "it must be at least 1")?;
    must(
        postgres.master_key_file.is_some(),
        "postgres.master_key_file",
        "`parts.store` is \"postgres\", so it must name the file of the master key: make one with `sluice master-key`",
    )
}

fn log(config: &Config) -> Result<(), Fault> {
    if config.parts.log != LogKind::Kafka {
        return Ok(());
    }
    let kafka = &config.kafka;
    must(
        config.parts.store == StoreKind::Postgres,
        "parts.log",
        "\"kafka\" needs `parts.store = \"postgres\"`: an embedded store is its own log",
    )?;
    must(
        !kafka.brokers.is_empty(),
        "kafka.brokers",
        "`parts.log` is \"kafka\", so it must name the bootstrap servers: host:port",
    )?;
    must(!kafka.topic.is_empty(), "kafka.topic", "it must name a topic")?;
    must(kafka.replication >= 1, "kafka.replication", "it must be at least 1")?;
    must(kafka.deadline_ms > 0, "kafka.deadline_ms", "it must be at least 1")
}

fn relationships(config: &Config) -> Result<(), Fault> {
    let spicedb = &config.spicedb;
    if config.parts.relationships != RelationshipsKind::SpiceDb {
        return must(
            config.parts.store == StoreKind::Embedded,
            "parts.relationships",
            "with `parts.store = \"postgres\"` several gateways share their relationships, so it must be \"spicedb\"",
        );
    }
    let scheme = spicedb.endpoint.starts_with("http://") || spicedb.endpoint.starts_with("https://");
    must(
        scheme,
        "spicedb.endpoint",
        "`parts.relationships` is \"spicedb\", so it must be its address: https://host:50051",
    )?;
    must(!spicedb.preshared_key.0.is_empty(), "spicedb.preshared_key", "it must be one of SpiceDB's preshared keys")?;
    must(spicedb.deadline_ms > 0, "spicedb.deadline_ms", "it must be at least 1")?;
    must(spicedb.max_in_flight > 0, "spicedb.max_in_flight", "it must be at least 1")?;
    let bound = spicedb.max_staleness_ms;
    must(
        bound == 0 || (500..=60_000).contains(&bound),
        "spicedb.max_staleness_ms",
        "it must be 0, or 500 to 60000: four canaries are written within it",
    )
}

pub(super) fn must(holds: bool, key: &'static str, what: &'static str) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err((key, what)) }
}
