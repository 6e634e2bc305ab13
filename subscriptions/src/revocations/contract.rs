//! The contract of [`TokenRevocations`], run against every implementation.
//!
//! `token_revocations_contract!(open)` makes a test of each function here, where `async fn open() -> ([Arc<dyn
//! TokenRevocations>; 2], T)` gives two nodes that share a list with nothing on it, and whatever must live as long as they do.
//! Where there is but one node it is given twice.

#![allow(clippy::unwrap_used, reason = "a test suite")]

use std::sync::Arc;

use jiff::Timestamp;
use sluice_schema::token::TokenId;
use tokio::{sync::Barrier, task::JoinSet};

use super::{PAGE, Revocation, Revoked, TokenRevocations};

type Nodes = [Arc<dyn TokenRevocations>; 2];

/// Makes a `#[tokio::test]` of every test of the contract.
#[macro_export]
macro_rules! token_revocations_contract {
    ($open:path) => {
        $crate::token_revocations_contract!(@tests $open:
            what_was_revoked_is_read_by_all,
            it_is_read_on_from_a_place,
            many_are_read_by_pages,
            what_cannot_matter_any_more_is_removed,
            no_place_is_given_twice,
            none_is_passed_over_while_others_revoke,
        );
    };
    (@tests $open:path: $($test:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let (nodes, _kept) = $open().await;
                $crate::revocations::contract::$test(nodes).await;
            }
        )+
    };
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// Of the token `number` of the tenant `acme`.
fn token(number: usize, kept_until: i64) -> Revocation {
    let revoked = Revoked::Token(TokenId::of(&format!("t-{number}")).unwrap());
    Revocation { tenant: "acme".parse().unwrap(), revoked, kept_until: at(kept_until) }
}

fn user(tenant: &str, user: &str, issued_until: i64, kept_until: i64) -> Revocation {
    let revoked = Revoked::User { user: user.parse().unwrap(), issued_until: at(issued_until) };
    Revocation { tenant: tenant.parse().unwrap(), revoked, kept_until: at(kept_until) }
}

async fn behind(node: &Arc<dyn TokenRevocations>, place: u64) -> Vec<Revocation> {
    node.behind(place).await.unwrap().into_iter().map(|(_, revocation)| revocation).collect()
}

async fn last_place(node: &Arc<dyn TokenRevocations>) -> u64 {
    node.behind(0).await.unwrap().last().map(|(place, _)| *place).unwrap()
}

pub async fn what_was_revoked_is_read_by_all(nodes: Nodes) {
    let all = [
        token(1, 100),
        user("acme", "auth0|u-1", 5, 100),
        user("birch", "auth0|u-1", 6, 101),
        // The same again is one more.
        token(1, 200),
    ];
    for (number, revocation) in all.iter().enumerate() {
        nodes[number % 2].revoke(revocation).await.unwrap();
        for node in &nodes {
            assert_eq!(behind(node, 0).await, all[..=number]);
        }
    }
}

pub async fn it_is_read_on_from_a_place(nodes: Nodes) {
    for number in 0..5 {
        nodes[number % 2].revoke(&token(number, 100)).await.unwrap();
    }
    let all = nodes[1].behind(0).await.unwrap();
    assert!(all.is_sorted_by(|(one, _), (next, _)| one < next) && all[0].0 > 0, "{all:?}");
    for (number, (place, _)) in all.iter().enumerate() {
        assert_eq!(nodes[0].behind(*place).await.unwrap(), all[number + 1..]);
    }
}

pub async fn many_are_read_by_pages(nodes: Nodes) {
    let mut tasks = JoinSet::new();
    for number in 0..PAGE + 10 {
        let node = nodes[number % 2].clone();
        tasks.spawn(async move { node.revoke(&token(number, 100)).await.unwrap() });
        // Not more at once than there is patience for.
        if tasks.len() == 32 {
            tasks.join_next().await.unwrap().unwrap();
        }
    }
    tasks.join_all().await;
    let first = nodes[0].behind(0).await.unwrap();
    assert_eq!(first.len(), PAGE);
    let rest = nodes[1].behind(first[PAGE - 1].0).await.unwrap();
    assert_eq!(rest.len(), 10);
    let mut all: Vec<_> = first.iter().chain(&rest).map(|(_, one)| format!("{:?}", one.revoked)).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), PAGE + 10);
}

pub async fn what_cannot_matter_any_more_is_removed(nodes: Nodes) {
    let [past, now, later] = [token(1, 9), user("acme", "u-1", 0, 10), token(3, 11)];
    for revocation in [&past, &now, &later] {
        nodes[0].revoke(revocation).await.unwrap();
    }
    nodes[1].purge(at(8)).await.unwrap();
    assert_eq!(behind(&nodes[0], 0).await, [past, now, later.clone()]);
    nodes[1].purge(at(10)).await.unwrap();
    for node in &nodes {
        assert_eq!(behind(node, 0).await, std::slice::from_ref(&later));
    }
}

pub async fn no_place_is_given_twice(nodes: Nodes) {
    for number in 0..3 {
        nodes[0].revoke(&token(number, 10)).await.unwrap();
    }
    let last = last_place(&nodes[0]).await;
    nodes[0].purge(at(10)).await.unwrap();
    assert_eq!(nodes[1].behind(0).await.unwrap(), []);
    nodes[1].revoke(&token(9, 20)).await.unwrap();
    assert_eq!(behind(&nodes[0], last).await, [token(9, 20)], "whoever had read on to the last place reads it");
}

/// One reads on and on, as a node does, while many revoke at both.
pub async fn none_is_passed_over_while_others_revoke(nodes: Nodes) {
    const EACH: usize = 25;
    const WRITERS: usize = 8;
    let start = Arc::new(Barrier::new(WRITERS + 1));
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let (node, start) = (nodes[writer % 2].clone(), start.clone());
        tasks.spawn(async move {
            start.wait().await;
            for number in 0..EACH {
                node.revoke(&token(writer * EACH + number, 100)).await.unwrap();
            }
        });
    }
    start.wait().await;
    let (mut place, mut read) = (0, Vec::new());
    while read.len() < WRITERS * EACH {
        // All have been answered before this is read.
        let done = tasks.is_empty();
        let page = nodes[0].behind(place).await.unwrap();
        assert!(!done || !page.is_empty(), "{} were passed over", WRITERS * EACH - read.len());
        place = page.last().map_or(place, |(last, _)| *last);
        read.extend(page.into_iter().map(|(_, one)| one));
        while let Some(ended) = tasks.try_join_next() {
            ended.unwrap();
        }
    }
    tasks.join_all().await;
    assert_eq!(read, behind(&nodes[1], 0).await);
}

#[cfg(test)]
mod twin {
    use super::*;
    use crate::revocations::memory::MemoryRevocations;

    async fn open() -> (Nodes, ()) {
        let one = MemoryRevocations::default();
        ([Arc::new(one.clone()), Arc::new(one)], ())
    }

    token_revocations_contract!(open);
}
