//! The schema and its rights.

use sluice_adapters::postgres::{Migrate, OpenError, Postgres, PostgresStore, StoreOptions, migrate};
use sluice_domain::store::EventStore;
use sluice_schema::position::ReadVector;
use sluice_subscriptions::log::{Checkpoints, EventLog};

use super::database::{Database, PARTITIONS, administer, append};

#[tokio::test]
async fn two_at_once_are_one_after_the_other() {
    let database = Database::empty().await;
    let url = database.url();
    let options = Migrate { url: &url, partitions: PARTITIONS, grant_to: None };
    let (one, other) = tokio::join!(migrate(options), migrate(options));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.version, other.version);
    assert_eq!(one.applied.len() + other.applied.len(), one.version as usize, "each step once");
    assert_eq!(migrate(options).await.unwrap().applied, Vec::<i32>::new());
    let store = database.store().await;
    let other_count = migrate(Migrate { partitions: 9, ..options }).await;
    assert!(other_count.is_ok());
    assert_eq!(database.store().await.epoch(), store.epoch(), "what is there stays");
    assert_eq!(EventStore::heads(&database.store().await), ReadVector::start(PARTITIONS));
}

async fn refusal(database: &Database) -> OpenError {
    let options = database.options(std::time::Duration::from_secs(20));
    Postgres::connect(&options).await.err().unwrap()
}

#[tokio::test]
async fn a_schema_of_another_version_is_refused() {
    let database = Database::empty().await;
    let error = refusal(&database).await;
    assert!(matches!(error, OpenError::NotMigrated { .. }) && error.to_string().contains("sluice migrate"), "{error}");
    let options = Migrate { url: &database.url(), partitions: PARTITIONS, grant_to: None };
    migrate(options).await.unwrap();
    let mut db = database.raw().await;
    sqlx::raw_sql("INSERT INTO sluice.schema_version (version) VALUES (99)").execute(&mut db).await.unwrap();
    assert!(matches!(refusal(&database).await, OpenError::Newer { found: 99, .. }));
    assert!(matches!(migrate(options).await, Err(OpenError::Newer { found: 99, .. })));
    sqlx::raw_sql("UPDATE sluice.schema_version SET version = version - 100").execute(&mut db).await.unwrap();
    assert!(matches!(refusal(&database).await, OpenError::Older { .. }));
}

#[tokio::test]
async fn a_granted_role_can_run_the_store_and_no_more() {
    let database = Database::empty().await;
    let role = format!("sluice_gate_{}", std::process::id());
    let url = database.url();
    let nobody = migrate(Migrate { url: &url, partitions: PARTITIONS, grant_to: Some(&role) }).await;
    assert!(matches!(nobody, Err(OpenError::NoSuchRole { .. })), "{nobody:?}");
    administer(format!("CREATE ROLE {role} LOGIN PASSWORD 'gate'")).await;
    migrate(Migrate { url: &url, partitions: PARTITIONS, grant_to: Some(&role) }).await.unwrap();
    let mut options = database.options(std::time::Duration::from_secs(20));
    let (_, server) = options.url.split_once('@').unwrap();
    options.url = format!("postgres://{role}:gate@{server}");
    let db = Postgres::connect(&options).await.unwrap();
    let info = db.version().await.unwrap();
    assert_eq!((info.role.as_str(), info.may_rewrite_audit), (role.as_str(), false));
    let store = PostgresStore::open(&db, StoreOptions::default()).await.unwrap();
    append(&store, "c-1").await;
    Checkpoints::save(&store, "w", store.epoch(), &ReadVector(vec![1])).await.unwrap();
    Checkpoints::save(&store, "w", store.epoch(), &ReadVector(vec![2])).await.unwrap();
    store.renew_epoch().await.unwrap();
    let mut raw = <sqlx::PgConnection as sqlx::Connection>::connect(&options.url).await.unwrap();
    for statement in [
        "UPDATE sluice.events SET payload = ''",
        "DELETE FROM sluice.events",
        "TRUNCATE sluice.events",
        "DELETE FROM sluice.idempotency",
        "UPDATE sluice.log SET secret = ''",
        "INSERT INTO sluice.heads VALUES (9)",
        "CREATE TABLE sluice.mine (a int)",
        "DROP TABLE sluice.checkpoints",
        "UPDATE sluice.schema_version SET version = 9",
    ] {
        let refused = sqlx::raw_sql(statement).execute(&mut raw).await;
        let code = refused.err().and_then(|error| Some(error.as_database_error()?.code()?.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{statement}");
    }
    drop((store, db, raw, database));
    administer(format!("DROP ROLE {role}")).await;
}
