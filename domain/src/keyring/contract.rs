//! The contract of [`Keyring`], run against every implementation.
//!
//! `keyring_contract!(open)` makes a test of each function here, where `async fn open() -> (Arc<dyn Keyring>, T)` gives an
//! empty keyring and whatever must live as long as it.

#![allow(clippy::unwrap_used, reason = "a test suite")]

use std::{collections::BTreeSet, sync::Arc};

use sluice_schema::{
    ids::TenantId,
    proto::header::{Header, RoutingKey, routing_key::Kind},
    sealed::DataKey,
};
use tokio::{sync::Barrier, task::JoinSet};

use super::Keyring;

/// Makes a `#[tokio::test]` of every test of the contract.
#[macro_export]
macro_rules! keyring_contract {
    ($open:path) => {
        $crate::keyring_contract!(@tests $open:
            a_key_is_made_once,
            getting_makes_no_key,
            concurrent_callers_get_one_key,
            every_owner_has_a_key_of_its_own,
            fingerprints_tell_inputs_and_tenants_apart,
        );
    };
    (@tests $open:path: $($test:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let (keyring, _kept) = $open().await;
                $crate::keyring::contract::$test(keyring).await;
            }
        )+
    };
}

fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

fn key(kind: Kind, id: &str) -> RoutingKey {
    RoutingKey { kind: kind.into(), id: id.into() }
}

/// Keys don't show themselves; they are the same when one opens what the other sealed.
fn same(one: &DataKey, other: &DataKey) -> bool {
    let header = Header { event_id: "e-1".into(), ..Header::default() };
    other.open(&header, &one.seal(&header, b"text").unwrap()).is_ok()
}

pub async fn a_key_is_made_once(keyring: Arc<dyn Keyring>) {
    let member = key(Kind::Member, "m-1");
    let first = keyring.create_or_get(&tenant("acme"), &member).await.unwrap();
    let second = keyring.create_or_get(&tenant("acme"), &member).await.unwrap();
    let got = keyring.get(&tenant("acme"), &member).await.unwrap().unwrap();
    assert!(same(&first, &second) && same(&first, &got));
}

pub async fn getting_makes_no_key(keyring: Arc<dyn Keyring>) {
    let member = key(Kind::Member, "m-1");
    for _ in 0..2 {
        assert!(keyring.get(&tenant("acme"), &member).await.unwrap().is_none());
    }
    keyring.create_or_get(&tenant("acme"), &key(Kind::Member, "m-2")).await.unwrap();
    assert!(keyring.get(&tenant("acme"), &member).await.unwrap().is_none());
}

pub async fn concurrent_callers_get_one_key(keyring: Arc<dyn Keyring>) {
    const CALLERS: usize = 32;
    let barrier = Arc::new(Barrier::new(CALLERS));
    let mut tasks = JoinSet::new();
    for _ in 0..CALLERS {
        let (keyring, barrier) = (keyring.clone(), barrier.clone());
        tasks.spawn(async move {
            barrier.wait().await;
            keyring.create_or_get(&tenant("acme"), &key(Kind::Member, "m-1")).await.unwrap()
        });
    }
    let keys = tasks.join_all().await;
    assert!(keys.iter().all(|key| same(key, &keys[0])));
}

pub async fn every_owner_has_a_key_of_its_own(keyring: Arc<dyn Keyring>) {
    let owners = [
        ("acme", key(Kind::Member, "m-1")),
        ("acme", key(Kind::Member, "m-2")),
        ("acme", key(Kind::Team, "m-1")),
        ("birch", key(Kind::Member, "m-1")),
    ];
    let mut keys = Vec::new();
    for (tenant_id, key) in &owners {
        keys.push(keyring.create_or_get(&tenant(tenant_id), key).await.unwrap());
    }
    for (i, one) in keys.iter().enumerate() {
        let like: Vec<_> = (0..keys.len()).filter(|j| same(one, &keys[*j])).collect();
        assert_eq!(like, [i]);
    }
}

pub async fn fingerprints_tell_inputs_and_tenants_apart(keyring: Arc<dyn Keyring>) {
    let mut seen = BTreeSet::new();
    for tenant_id in ["acme", "birch"] {
        for input in ["", "a", "b"] {
            let print = keyring.fingerprint(&tenant(tenant_id), input.as_bytes()).await.unwrap();
            assert_eq!(print, keyring.fingerprint(&tenant(tenant_id), input.as_bytes()).await.unwrap());
            assert!(seen.insert(print), "{tenant_id}, {input:?}");
        }
    }
}

#[cfg(test)]
mod twin {
    use std::sync::Arc;

    use crate::{keyring::Keyring, twins::MemoryKeyring};

    async fn open() -> (Arc<dyn Keyring>, ()) {
        (Arc::new(MemoryKeyring::default()), ())
    }

    keyring_contract!(open);
}
