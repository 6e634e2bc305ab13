//! The contract of [`SubscriberState`], run against every implementation.
//!
//! `subscriber_state_contract!(open)` makes a test of each function here, where `async fn open() -> ([Arc<dyn
//! SubscriberState>; 2], T)` gives two nodes that share a state with nothing in it, and whatever must live as long as they do.
//! Where there is but one node it is given twice.

#![allow(clippy::unwrap_used, reason = "a test suite")]

use std::sync::Arc;

use sluice_schema::position::{Cursor, Epoch, ReadVector};
use tokio::{sync::Barrier, task::JoinSet};

use super::{MAX_NAMES, Subscriber, SubscriberState, SubscribersError};

type Nodes = [Arc<dyn SubscriberState>; 2];

/// Makes a `#[tokio::test]` of every test of the contract.
#[macro_export]
macro_rules! subscriber_state_contract {
    ($open:path) => {
        $crate::subscriber_state_contract!(@tests $open:
            what_was_acknowledged_is_the_last,
            a_late_cursor_moves_nothing_back,
            cursors_that_cross_are_joined,
            another_epoch_replaces,
            subscribers_share_nothing,
            what_was_forgotten_begins_anew,
            names_are_bounded,
            concurrent_acknowledgements_are_all_kept,
            concurrent_new_names_keep_the_bound,
        );
    };
    (@tests $open:path: $($test:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let (nodes, _kept) = $open().await;
                $crate::subscribers::contract::$test(nodes).await;
            }
        )+
    };
}

fn subscriber(tenant: &str, user: &str, name: &str) -> Subscriber {
    Subscriber { tenant: tenant.parse().unwrap(), user: user.parse().unwrap(), name: name.parse().unwrap() }
}

fn nurse() -> Subscriber {
    subscriber("acme", "u-nurse", "tasks")
}

fn cursor(epoch: u64, seqs: &[u64]) -> Cursor {
    Cursor { epoch: Epoch(epoch), vector: ReadVector(seqs.to_vec()) }
}

async fn assert_last(nodes: &Nodes, subscriber: &Subscriber, expected: Option<Cursor>) {
    for node in nodes {
        assert_eq!(node.last(subscriber).await.unwrap(), expected, "{subscriber:?}");
    }
}

pub async fn what_was_acknowledged_is_the_last(nodes: Nodes) {
    assert_last(&nodes, &nurse(), None).await;
    for seqs in [[0, 0], [1, 7], [2, 7], [9, u64::MAX]] {
        nodes[0].acknowledge(&nurse(), &cursor(1, &seqs)).await.unwrap();
        assert_last(&nodes, &nurse(), Some(cursor(1, &seqs))).await;
    }
}

pub async fn a_late_cursor_moves_nothing_back(nodes: Nodes) {
    nodes[0].acknowledge(&nurse(), &cursor(1, &[5, 5])).await.unwrap();
    for late in [[5, 5], [4, 5], [0, 0]] {
        nodes[1].acknowledge(&nurse(), &cursor(1, &late)).await.unwrap();
        assert_last(&nodes, &nurse(), Some(cursor(1, &[5, 5]))).await;
    }
}

pub async fn cursors_that_cross_are_joined(nodes: Nodes) {
    nodes[0].acknowledge(&nurse(), &cursor(1, &[3, 9])).await.unwrap();
    nodes[1].acknowledge(&nurse(), &cursor(1, &[5, 1])).await.unwrap();
    assert_last(&nodes, &nurse(), Some(cursor(1, &[5, 9]))).await;
}

pub async fn another_epoch_replaces(nodes: Nodes) {
    nodes[0].acknowledge(&nurse(), &cursor(u64::MAX, &[5, 5])).await.unwrap();
    nodes[1].acknowledge(&nurse(), &cursor(2, &[1, 0, 0])).await.unwrap();
    assert_last(&nodes, &nurse(), Some(cursor(2, &[1, 0, 0]))).await;
}

pub async fn subscribers_share_nothing(nodes: Nodes) {
    let subscribers = [
        nurse(),
        subscriber("birch", "u-nurse", "tasks"),
        subscriber("acme", "u-member", "tasks"),
        subscriber("acme", "u-nurse", "visits"),
    ];
    for (seq, one) in (1..).zip(&subscribers) {
        nodes[0].acknowledge(one, &cursor(1, &[seq])).await.unwrap();
    }
    nodes[0].forget(&subscribers[0]).await.unwrap();
    assert_last(&nodes, &subscribers[0], None).await;
    for (seq, one) in (1..).zip(&subscribers).skip(1) {
        assert_last(&nodes, one, Some(cursor(1, &[seq]))).await;
    }
}

pub async fn what_was_forgotten_begins_anew(nodes: Nodes) {
    nodes[0].forget(&nurse()).await.unwrap();
    nodes[0].acknowledge(&nurse(), &cursor(1, &[5, 5])).await.unwrap();
    nodes[1].forget(&nurse()).await.unwrap();
    assert_last(&nodes, &nurse(), None).await;
    nodes[0].acknowledge(&nurse(), &cursor(1, &[1, 9])).await.unwrap();
    assert_last(&nodes, &nurse(), Some(cursor(1, &[1, 9]))).await;
}

fn numbered(number: usize) -> Subscriber {
    subscriber("acme", "u-nurse", &format!("s-{number}"))
}

pub async fn names_are_bounded(nodes: Nodes) {
    for number in 0..MAX_NAMES {
        nodes[number % 2].acknowledge(&numbered(number), &cursor(1, &[1])).await.unwrap();
    }
    let refused = nodes[0].acknowledge(&numbered(MAX_NAMES), &cursor(1, &[1])).await;
    assert_eq!(refused, Err(SubscribersError::TooManyNames));
    assert_last(&nodes, &numbered(MAX_NAMES), None).await;
    nodes[1].acknowledge(&numbered(7), &cursor(1, &[2])).await.unwrap();
    nodes[1].acknowledge(&subscriber("acme", "u-member", "s-1"), &cursor(1, &[1])).await.unwrap();
    nodes[1].acknowledge(&subscriber("birch", "u-nurse", "s-1"), &cursor(1, &[1])).await.unwrap();
    nodes[1].forget(&numbered(3)).await.unwrap();
    nodes[0].acknowledge(&numbered(MAX_NAMES), &cursor(1, &[1])).await.unwrap();
}

/// Each of the two nodes acknowledges another partition, at the same time, in another order.
pub async fn concurrent_acknowledgements_are_all_kept(nodes: Nodes) {
    const SEQS: u64 = 16;
    let start = Arc::new(Barrier::new(2 * SEQS as usize));
    let mut tasks = JoinSet::new();
    for (partition, node) in nodes.iter().enumerate() {
        for seq in 1..=SEQS {
            let (node, start) = (node.clone(), start.clone());
            tasks.spawn(async move {
                let mut seqs = [0, 0];
                seqs[partition] = seq;
                start.wait().await;
                node.acknowledge(&nurse(), &cursor(1, &seqs)).await.unwrap();
            });
        }
    }
    tasks.join_all().await;
    assert_last(&nodes, &nurse(), Some(cursor(1, &[SEQS, SEQS]))).await;
}

pub async fn concurrent_new_names_keep_the_bound(nodes: Nodes) {
    for number in 0..MAX_NAMES - 1 {
        nodes[0].acknowledge(&numbered(number), &cursor(1, &[1])).await.unwrap();
    }
    const MORE: usize = 8;
    let start = Arc::new(Barrier::new(MORE));
    let mut tasks = JoinSet::new();
    for number in MAX_NAMES..MAX_NAMES + MORE {
        let (node, start) = (nodes[number % 2].clone(), start.clone());
        tasks.spawn(async move {
            start.wait().await;
            node.acknowledge(&numbered(number), &cursor(1, &[1])).await
        });
    }
    let mut outcomes = tasks.join_all().await;
    outcomes.sort_by_key(Result::is_err);
    let (kept, refused) = outcomes.split_at(1);
    assert!(kept[0].is_ok());
    assert!(refused.iter().all(|outcome| *outcome == Err(SubscribersError::TooManyNames)), "{refused:?}");
}

#[cfg(test)]
mod twin {
    use super::*;
    use crate::subscribers::memory::MemorySubscribers;

    async fn open() -> (Nodes, ()) {
        let node: Arc<dyn SubscriberState> = Arc::new(MemorySubscribers::default());
        ([node.clone(), node], ())
    }

    subscriber_state_contract!(open);
}
