use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use sluice_domain::keyring::Keyring;
use sluice_schema::{
    ids::TenantId,
    proto::header::{Header, RoutingKey, routing_key::Kind},
    sealed::DataKey,
};
use sqlx::{ConnectOptions, SqliteConnection};

use super::{SCHEMA, SqliteKeyring};
use crate::sqlite::{
    database,
    test_support::{Home, wal_of},
};

mod contract {
    use super::*;

    async fn empty() -> (Arc<dyn Keyring>, Home) {
        let home = Home::new();
        (Arc::new(open(&home).await), home)
    }

    sluice_domain::keyring_contract!(empty);
}

async fn open(home: &Home) -> SqliteKeyring {
    SqliteKeyring::open(&home.data).await.unwrap()
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

fn member(id: &str) -> RoutingKey {
    RoutingKey { kind: Kind::Member.into(), id: id.into() }
}

fn same(one: &DataKey, other: &DataKey) -> bool {
    let header = Header::default();
    other.open(&header, &one.seal(&header, b"text").unwrap()).is_ok()
}

async fn wrapped(home: &Home) -> Vec<u8> {
    let mut db = tamperer(home).await;
    sqlx::query_scalar("SELECT wrapped FROM data_keys").fetch_one(&mut db).await.unwrap()
}

async fn tamperer(home: &Home) -> SqliteConnection {
    database::options(&home.data.file(SCHEMA.file)).connect().await.unwrap()
}

#[tokio::test]
async fn a_key_that_was_answered_survives_a_crash() {
    let home = Home::new();
    let keyring = open(&home).await;
    let key = keyring.create_or_get(&acme(), &member("m-1")).await.unwrap();
    let print = keyring.fingerprint(&acme(), b"input").await.unwrap();
    let crashed = home.after_crash(SCHEMA.file);
    let left = open(&crashed).await;
    assert!(same(&key, &left.get(&acme(), &member("m-1")).await.unwrap().unwrap()));
    assert_eq!(left.fingerprint(&acme(), b"input").await.unwrap(), print);
}

#[tokio::test]
async fn an_erased_key_is_nowhere_any_more() {
    let home = Home::new();
    let keyring = open(&home).await;
    let old = keyring.create_or_get(&acme(), &member("m-1")).await.unwrap();
    let bytes = wrapped(&home).await;
    let holds_it = |name: &str| {
        let content = fs::read(home.data.file(name)).unwrap_or_default();
        content.windows(bytes.len()).any(|window| window == bytes)
    };
    assert!(holds_it(SCHEMA.file) || holds_it(&wal_of(SCHEMA.file)));
    keyring.erase(&acme(), &member("m-1")).await.unwrap();
    assert!(!holds_it(SCHEMA.file) && !holds_it(&wal_of(SCHEMA.file)));
    assert!(keyring.get(&acme(), &member("m-1")).await.unwrap().is_none());
    let new = keyring.create_or_get(&acme(), &member("m-1")).await.unwrap();
    assert!(!same(&old, &new));
}

#[tokio::test]
async fn what_was_read_before_an_erasure_is_not_kept_after_it() {
    let home = Home::new();
    let keyring = open(&home).await;
    let key = keyring.create_or_get(&acme(), &member("m-1")).await.unwrap();
    let erasures = keyring.cache().erasures();
    keyring.erase(&acme(), &member("m-1")).await.unwrap();
    keyring.cache().keep_data_key(&acme(), &member("m-1"), key, erasures);
    assert!(keyring.get(&acme(), &member("m-1")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_wrapped_key_opens_in_its_own_row_only() {
    let home = Home::new();
    let keyring = open(&home).await;
    keyring.create_or_get(&acme(), &member("m-1")).await.unwrap();
    keyring.close().await;
    let mut db = tamperer(&home).await;
    sqlx::query("UPDATE data_keys SET routing_id = 'm-2'").execute(&mut db).await.unwrap();
    let again = open(&home).await;
    let error = again.get(&acme(), &member("m-2")).await.unwrap_err();
    assert!(error.to_string().contains("keys.db is damaged"), "{error}");
}

#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    let home = Home::new();
    let keyring = open(&home).await;
    keyring.create_or_get(&acme(), &member("m-1")).await.unwrap();
    for name in [SCHEMA.file, &wal_of(SCHEMA.file), "keys.db-shm"] {
        assert_eq!(home.data.file(name).metadata().unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
}
