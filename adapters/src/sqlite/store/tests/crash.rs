//! What is left after a crash, a torn write or a full disk.

use std::fs;

use sluice_domain::store::{AppendError, EventStore};
use sluice_schema::position::ReadVector;
use sluice_subscriptions::log::{Checkpoints, EventLog};
use tokio::task::JoinSet;

use super::{SCHEMA_FILE, all_ids, append, append_of, open, shared};
use crate::sqlite::test_support::{Home, cut, wal_of};

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    let mut names: Vec<_> = range.map(|i| format!("c-{i}")).collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_was_answered_survives_a_crash() {
    let home = Home::new();
    let store = open(&home).await;
    for name in names(0..20) {
        append(&store, &name).await;
    }
    Checkpoints::save(&store, "w", store.epoch(), &ReadVector(vec![1, 2, 3, 4])).await.unwrap();
    // The files are copied as they lie: nobody closes anything first.
    let left = home.after_crash(SCHEMA_FILE);
    let again = open(&left).await;
    assert_eq!(again.epoch(), store.epoch());
    assert_eq!(EventStore::heads(&again), EventStore::heads(&store));
    assert_eq!(all_ids(&again).await, names(0..20));
    assert_eq!(Checkpoints::load(&again, "w", store.epoch()).await.unwrap(), Some(ReadVector(vec![1, 2, 3, 4])));
    let more = append(&again, "c-20").await;
    assert_eq!(EventStore::heads(&again).get(more.partition), more.seq);
    assert_eq!(all_ids(&again).await, names(0..21));
}

#[tokio::test]
async fn an_open_store_that_is_just_dropped_loses_nothing() {
    let home = Home::new();
    for round in 0..5 {
        let store = open(&home).await;
        append(&store, &format!("c-{round}")).await;
        drop(store);
    }
    assert_eq!(all_ids(&open(&home).await).await, names(0..5));
}

#[tokio::test]
async fn a_commit_that_was_torn_is_gone_and_all_before_it_is_there() {
    let home = Home::new();
    let store = open(&home).await;
    for name in names(0..5) {
        append(&store, &name).await;
    }
    let wal = home.data.path().join(wal_of(SCHEMA_FILE));
    let before = fs::metadata(&wal).unwrap().len();
    append(&store, "c-5").await;
    let whole = fs::metadata(&wal).unwrap().len();
    assert!(whole > before);
    // Every boundary that means something, and a fine stride between.
    let mut cuts: Vec<u64> =
        (before..whole).step_by(97).chain([before + 1, before + 23, before + 24, whole - 1]).collect();
    cuts.sort_unstable();
    for length in cuts {
        let left = home.after_crash(SCHEMA_FILE);
        cut(&left.data.path().join(wal_of(SCHEMA_FILE)), length);
        let again = open(&left).await;
        assert_eq!(all_ids(&again).await, names(0..5), "cut at {length} of {before}..{whole}");
        append(&again, "c-6").await;
        assert_eq!(EventStore::heads(&again).0.iter().sum::<u64>(), 6);
        again.close().await;
    }
    let left = home.after_crash(SCHEMA_FILE);
    assert_eq!(all_ids(&open(&left).await).await, names(0..6), "uncut, it is there");
}

#[tokio::test]
async fn a_flipped_byte_in_the_last_commit_is_like_a_torn_one() {
    let home = Home::new();
    let store = open(&home).await;
    append(&store, "c-0").await;
    let before = fs::metadata(home.data.path().join(wal_of(SCHEMA_FILE))).unwrap().len() as usize;
    append(&store, "c-1").await;
    let left = home.after_crash(SCHEMA_FILE);
    let wal = left.data.path().join(wal_of(SCHEMA_FILE));
    let mut bytes = fs::read(&wal).unwrap();
    bytes[before + 2000] ^= 1;
    fs::write(&wal, bytes).unwrap();
    assert_eq!(all_ids(&open(&left).await).await, names(0..1));
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    let home = Home::new();
    let store = open(&home).await;
    append(&store, "c-0").await;
    let answered = EventStore::heads(&store);
    // Below what the file has: SQLite keeps the present size as the limit.
    store.writer.execute("PRAGMA max_page_count = 1").await;
    let mut refused = 0;
    let mut kept = 1;
    for i in 1..40 {
        match store.append(append_of(&format!("c-{i}"))).await {
            Ok(_) => kept += 1,
            Err(AppendError::Unavailable(why)) => {
                assert_eq!(why, "database or disk is full");
                refused += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(refused > 0);
    assert!(EventStore::heads(&store).covers(&answered));
    assert_eq!(all_ids(&store).await.len(), kept, "what was refused is not there");
    store.writer.execute("PRAGMA max_page_count = 1000000").await;
    append(&store, "c-after").await;
    assert_eq!(EventStore::heads(&store).0.iter().sum::<u64>() as usize, kept + 1);
    let left = home.after_crash(SCHEMA_FILE);
    assert_eq!(all_ids(&open(&left).await).await.len(), kept + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_one_of_a_group_fails_alone() {
    let home = Home::new();
    let store = shared(open(&home).await);
    append(&store, "c-0").await;
    store.writer.execute("PRAGMA max_page_count = 1").await;
    let mut large = append_of("large");
    large.events[0].payload.0 = vec![1; 200_000].into();
    let mut small = append_of("c-0");
    small.expected_version = 1;
    let [first, second, third] = store
        .append_many(vec![small.clone(), large, {
            small.expected_version = 2;
            small
        }])
        .await
        .try_into()
        .unwrap();
    assert!(first.is_ok() && third.is_ok(), "{first:?} {third:?}");
    assert!(matches!(second, Err(AppendError::Unavailable(_))), "{second:?}");
    assert_eq!(EventStore::heads(store.as_ref()).0.iter().sum::<u64>(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_commits_and_checkpoints_keep_everything() {
    let home = Home::new();
    let store = shared(open(&home).await);
    let mut tasks = JoinSet::new();
    for writer in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            for i in 0..100 {
                append(&store, &format!("c-{writer}-{i}")).await;
            }
        });
    }
    tasks.join_all().await;
    let left = home.after_crash(SCHEMA_FILE);
    let again = open(&left).await;
    assert_eq!(all_ids(&again).await.len(), 800);
    assert_eq!(all_ids(&again).await, all_ids(&store).await);
}

#[tokio::test]
async fn after_closing_nothing_is_taken() {
    let home = Home::new();
    let store = open(&home).await;
    append(&store, "c-0").await;
    store.close().await;
    assert!(matches!(store.append(append_of("c-1")).await, Err(AppendError::Unavailable(_))));
    assert!(!home.data.path().join(wal_of(SCHEMA_FILE)).exists(), "everything is in the one file");
    let again = open(&home).await;
    assert_eq!(all_ids(&again).await, names(0..1));
}
