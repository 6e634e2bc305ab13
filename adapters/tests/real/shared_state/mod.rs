//! What nodes share on PostgreSQL beside the events: audit trail, keyring, subscribers and revocations.

mod audit;
mod keyring;
mod revocations;
mod subscribers;

use std::time::Duration;

use sluice_adapters::postgres::{Migrate, Postgres, PostgresOptions, migrate};
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

use crate::services;

/// A database of its own, which is gone with the server.
struct Database {
    url: String,
    role: String,
}

impl Database {
    /// Migrated, with a role that has what the gateway gets.
    async fn new() -> Self {
        let name = format!("shared_{}", Uuid::now_v7().simple());
        let mut server = PgConnection::connect(&services::postgres()).await.unwrap();
        for statement in [format!("CREATE DATABASE {name}"), format!("CREATE ROLE {name} LOGIN")] {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut server).await.unwrap();
        }
        let options: PgConnectOptions = services::postgres().parse().unwrap();
        let at = format!("{}:{}/{name}", options.get_host(), options.get_port());
        let this = Self { url: format!("postgres://{}@{at}", options.get_username()), role: name.clone() };
        migrate(Migrate { url: &this.url, partitions: 2, grant_to: Some(&name) }).await.unwrap();
        this
    }

    /// As the gateway's role.
    async fn node(&self) -> Postgres {
        self.connect(&self.url.replacen("postgres://postgres@", &format!("postgres://{}@", self.role), 1)).await
    }

    async fn connect(&self, url: &str) -> Postgres {
        let options = PostgresOptions { url: url.to_owned(), max_connections: 8, deadline: Duration::from_secs(5) };
        Postgres::connect(&options).await.unwrap()
    }

    async fn superuser(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    async fn execute(&self, statements: &'static str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(statements).execute(&mut self.superuser().await).await.map(drop)
    }
}
