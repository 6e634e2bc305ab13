use std::{sync::Arc, time::Duration};

use sluice_adapters::postgres::{MasterKey, OpenError, PostgresKeyring};
use sluice_domain::keyring::Keyring;
use sluice_schema::{
    ids::TenantId,
    proto::header::{Header, RoutingKey, routing_key::Kind},
    sealed::DataKey,
};

use super::Database;

mod contract {
    use super::*;

    async fn empty() -> (Arc<dyn Keyring>, Database) {
        let database = Database::new().await;
        (Arc::new(open(&database, &MasterKey::generate().unwrap()).await), database)
    }

    sluice_domain::keyring_contract!(empty);
}

async fn open(database: &Database, master: &MasterKey) -> PostgresKeyring {
    PostgresKeyring::open(&database.node().await, master.clone()).await.unwrap()
}

fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

fn member(id: &str) -> RoutingKey {
    RoutingKey { kind: Kind::Member.into(), id: id.into() }
}

fn same(one: &DataKey, other: &DataKey) -> bool {
    let header = Header::default();
    other.open(&header, &one.seal(&header, b"text").unwrap()).is_ok()
}

#[tokio::test]
async fn two_nodes_that_make_a_key_at_once_get_the_same() {
    let (database, master) = (Database::new().await, MasterKey::generate().unwrap());
    let (one, other) = (open(&database, &master).await, open(&database, &master).await);
    for id in 0..20 {
        let (tenant, member) = (tenant(&format!("t-{id}")), member("m-1"));
        let keys = tokio::join!(one.create_or_get(&tenant, &member), other.create_or_get(&tenant, &member));
        assert!(same(&keys.0.unwrap(), &keys.1.unwrap()));
        let prints = tokio::join!(one.fingerprint(&tenant, b"x"), other.fingerprint(&tenant, b"x"));
        assert_eq!(prints.0.unwrap(), prints.1.unwrap());
    }
}

#[tokio::test]
async fn an_erasure_is_seen_by_the_other_node() {
    let (database, master) = (Database::new().await, MasterKey::generate().unwrap());
    let (one, other) = (open(&database, &master).await, open(&database, &master).await);
    one.create_or_get(&tenant("acme"), &member("m-1")).await.unwrap();
    assert!(other.get(&tenant("acme"), &member("m-1")).await.unwrap().is_some());
    one.erase(&tenant("acme"), &member("m-1")).await.unwrap();
    assert!(one.get(&tenant("acme"), &member("m-1")).await.unwrap().is_none());
    let seen = async {
        while other.get(&tenant("acme"), &member("m-1")).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), seen).await.unwrap();
}

#[tokio::test]
async fn a_wrong_master_key_is_found_at_open_and_a_rotation_changes_which_is_right() {
    let database = Database::new().await;
    let (old, new) = (MasterKey::generate().unwrap(), MasterKey::generate().unwrap());
    let node = open(&database, &old).await;
    let key = node.create_or_get(&tenant("acme"), &member("m-1")).await.unwrap();
    let wrong = PostgresKeyring::open(&database.node().await, new.clone()).await.err().unwrap();
    assert!(matches!(wrong, OpenError::OtherMasterKey { .. }), "{wrong}");
    let owner = database.connect(&database.url).await;
    assert!(PostgresKeyring::rotate_master(&owner, &new, &MasterKey::generate().unwrap()).await.is_err());
    assert_eq!(PostgresKeyring::rotate_master(&owner, &old, &new).await.unwrap(), 1);
    assert_eq!(PostgresKeyring::rotate_master(&owner, &old, &new).await.unwrap(), 0, "done before");
    let again = open(&database, &new).await;
    assert!(same(&key, &again.get(&tenant("acme"), &member("m-1")).await.unwrap().unwrap()));
    let refused = node.create_or_get(&tenant("birch"), &member("m-1")).await.unwrap_err().to_string();
    assert!(refused.contains("rotated"), "the old one makes no tenant: {refused}");
}

#[tokio::test]
async fn rows_that_were_moved_do_not_open() {
    let (database, master) = (Database::new().await, MasterKey::generate().unwrap());
    let node = open(&database, &master).await;
    for id in ["acme", "birch"] {
        node.create_or_get(&tenant(id), &member("m-1")).await.unwrap();
    }
    database.execute("UPDATE sluice.data_keys SET routing_id = 'm-2' WHERE tenant = 'acme'").await.unwrap();
    assert!(open(&database, &master).await.get(&tenant("acme"), &member("m-2")).await.is_err());
    let swapped = "UPDATE sluice.data_keys SET wrapped = (SELECT wrapped FROM sluice.data_keys WHERE tenant = 'acme')
                   WHERE tenant = 'birch'";
    database.execute(swapped).await.unwrap();
    assert!(open(&database, &master).await.get(&tenant("birch"), &member("m-1")).await.is_err());
    let secrets =
        "UPDATE sluice.tenant_secrets SET wrapped = (SELECT wrapped FROM sluice.tenant_secrets WHERE tenant = 'acme')
                   WHERE tenant = 'birch'";
    database.execute(secrets).await.unwrap();
    assert!(open(&database, &master).await.fingerprint(&tenant("birch"), b"x").await.is_err());
}
