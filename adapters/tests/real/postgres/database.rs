//! A database for one test, and what tests put into it. A migrated one takes no longer to make than a copy of another.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use sluice_adapters::postgres::{Migrate, Postgres, PostgresOptions, PostgresStore, StoreOptions, migrate};
use sluice_domain::store::{Append, Appended, EventStore, Idempotency};
use sluice_schema::{
    event::{NewEvent, StreamId},
    position::Position,
    proto::header::{Header, RoutingKey, Subject, routing_key::Kind},
    sealed::Sealed,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::services;

pub(crate) const PARTITIONS: u16 = 4;

/// Dropped with it, whoever is still connected.
pub(crate) struct Database {
    name: String,
}

impl Database {
    /// Without a schema.
    pub(crate) async fn empty() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("sluice_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        administer(format!("CREATE DATABASE {name}")).await;
        Self { name }
    }

    pub(crate) async fn migrated() -> Self {
        let this = Self::empty().await;
        migrate(Migrate { url: &this.url(), partitions: PARTITIONS, grant_to: None }).await.unwrap();
        this
    }

    pub(crate) fn url(&self) -> String {
        let server = services::postgres();
        let (address, query) = server.split_once('?').unwrap_or((&server, ""));
        let (server, _) = address.rsplit_once('/').unwrap();
        format!("{server}/{}?{query}", self.name)
    }

    pub(crate) fn options(&self, deadline: Duration) -> PostgresOptions {
        PostgresOptions { url: self.url(), max_connections: 4, deadline }
    }

    pub(crate) async fn connect(&self) -> Postgres {
        Postgres::connect(&self.options(Duration::from_secs(20))).await.unwrap()
    }

    /// A node of its own.
    pub(crate) async fn store(&self) -> PostgresStore {
        PostgresStore::open(&self.connect().await, StoreOptions::default()).await.unwrap()
    }

    /// A connection of the test's own.
    pub(crate) async fn raw(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let dropping = thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(administer(statement));
        });
        assert!(dropping.join().is_ok() || thread::panicking());
    }
}

pub(crate) async fn administer(statement: String) {
    let mut db = PgConnection::connect(&services::postgres()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
}

/// An append of the first event of check `id`, under a routing key of the same id; its idempotency key is its id.
pub(crate) fn append_of(id: &str) -> Append {
    let subject = Subject { r#type: "Check".into(), id: id.into() };
    let header = Header {
        event_id: id.into(),
        tenant: "acme".into(),
        subject: Some(subject.clone()),
        routing_key: Some(RoutingKey { kind: Kind::Member.into(), id: id.into() }),
        ..Header::default()
    };
    Append {
        tenant: "acme".parse().unwrap(),
        stream: StreamId::of_subject(&subject),
        expected_version: 0,
        events: vec![NewEvent { header, payload: Sealed(vec![7; 300].into()), holds_state: true }],
        idempotency: Some(Idempotency { scope: "s".into(), key: id.into(), input_hash: [1; 32], result: id.into() }),
    }
}

pub(crate) async fn append(store: &dyn EventStore, id: &str) -> Position {
    match store.append(append_of(id)).await {
        Ok(Appended::Fresh { positions, .. }) => positions[0],
        other => panic!("{other:?}"),
    }
}
