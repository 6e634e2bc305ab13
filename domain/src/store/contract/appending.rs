use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use prost::Message;
use sluice_schema::{event::RecordedEvent, position::Position};
use tokio::{sync::Barrier, task::JoinSet};

use super::world::{Store, append, append_as, conflict, load, member, payloads, places, repeated, subject, with_key};
use crate::store::{Append, AppendError, Appended, MAX_EVENT_BYTES};

/// Starts all appends at once, each from a task of its own.
async fn at_once(store: &Store, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
    let barrier = Arc::new(Barrier::new(appends.len()));
    let mut tasks = JoinSet::new();
    for append in appends {
        let (store, barrier) = (store.clone(), barrier.clone());
        tasks.spawn(async move {
            barrier.wait().await;
            store.append(append).await
        });
    }
    tasks.join_all().await
}

pub async fn many_writers_get_dense_seqs(store: Store) {
    let mut by_partition: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for version in 0..4 {
        let one = |i: u64| {
            let id = format!("{i}");
            append_as("acme", subject(&id), member(&id), version, &["a", "b"][..1 + (i % 2) as usize])
        };
        // Streams of two events are at version 2, 4 …
        let appends = (0..64).map(|i| Append { expected_version: version * (1 + i % 2), ..one(i) }).collect();
        for position in at_once(&store, appends).await.into_iter().flat_map(places) {
            by_partition.entry(position.partition).or_default().push(position.seq);
        }
    }
    let mut total = 0;
    for (partition, mut seqs) in by_partition {
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "partition {partition}");
        assert_eq!(store.heads().get(partition), seqs.len() as u64);
        total += seqs.len();
    }
    assert_eq!(total, 4 * (32 + 64));
    assert_eq!(store.heads().0.iter().sum::<u64>(), total as u64);
}

pub async fn a_routing_key_keeps_its_partition(store: Store) {
    let mut seen = BTreeSet::new();
    for key in 0..64 {
        let one =
            |check: &str| append_as("acme", subject(&format!("{key}-{check}")), member(&format!("{key}")), 0, &["a"]);
        let first = places(store.append(one("first")).await)[0].partition;
        let second = places(store.append(one("second")).await)[0].partition;
        assert_eq!(first, second);
        seen.insert(first);
    }
    assert!(seen.len() > 1, "64 routing keys share a partition of {}", store.heads().0.len());
}

pub async fn one_append_is_one_run_of_places(store: Store) {
    places(store.append(append("c-1", 0, &["a"])).await);
    let run = places(store.append(append("c-2", 0, &["a", "=b", "c"])).await);
    let expected = |i| Position { seq: run[0].seq + i, ..run[0] };
    assert_eq!(run, [expected(0), expected(1), expected(2)]);
}

pub async fn an_append_sees_the_version_it_expects_or_writes_nothing(store: Store) {
    assert_eq!(conflict(store.append(append("c-1", 1, &["a"])).await), 0);
    places(store.append(append("c-1", 0, &["a", "b"])).await);
    for wrong in [0, 1, 3] {
        assert_eq!(conflict(store.append(append("c-1", wrong, &["=x"])).await), 2);
    }
    places(store.append(append("c-1", 2, &["c"])).await);
    assert_eq!(payloads(&load(&store, "acme", "c-1").await), ["a", "b", "c"]);
    assert_eq!(store.heads().0.iter().sum::<u64>(), 3);
}

pub async fn of_many_with_the_same_expectation_one_wins(store: Store) {
    for version in 0..8 {
        let outcomes = at_once(&store, (0..16).map(|_| append("c-1", version, &["x"])).collect()).await;
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        lost.into_iter().for_each(|outcome| assert_eq!(conflict(outcome), version + 1));
    }
    let versions: Vec<_> = load(&store, "acme", "c-1").await.iter().map(|event| event.version).collect();
    assert_eq!(versions, (1..=8).collect::<Vec<_>>());
}

pub async fn a_repeated_request_answers_as_the_first_did(store: Store) {
    let request = with_key(append("c-1", 0, &["=a"]), "u-1/request", "k-1", 1, "c-1");
    let place = places(store.append(request.clone()).await)[0];
    // A repeat is made anew: another id, another result.
    let again = with_key(append("c-2", 0, &["=a"]), "u-1/request", "k-1", 1, "c-2");
    for request in [request, again] {
        let (result, heads) = repeated(store.append(request).await);
        assert_eq!(result, "c-1");
        assert!(heads.get(place.partition) >= place.seq, "the first one's events are covered");
    }
    assert_eq!(load(&store, "acme", "c-1").await.len(), 1);
    assert_eq!(load(&store, "acme", "c-2").await.len(), 0);
}

pub async fn a_repeat_is_told_before_a_conflict(store: Store) {
    let request = with_key(append("c-1", 0, &["a"]), "u-1/request", "k-1", 1, "c-1");
    places(store.append(request.clone()).await);
    places(store.append(append("c-1", 1, &["b"])).await);
    assert_eq!(repeated(store.append(request).await).0, "c-1");
}

pub async fn the_same_key_with_another_input_is_refused(store: Store) {
    places(store.append(with_key(append("c-1", 0, &["a"]), "u-1/request", "k-1", 1, "c-1")).await);
    for version in [0, 1] {
        let other = with_key(append("c-1", version, &["b"]), "u-1/request", "k-1", 2, "c-1");
        assert!(matches!(store.append(other).await, Err(AppendError::IdempotencyConflict)));
    }
    assert_eq!(payloads(&load(&store, "acme", "c-1").await), ["a"]);
}

pub async fn a_refused_append_leaves_its_key_unused(store: Store) {
    let early = with_key(append("c-1", 1, &["a"]), "u-1/request", "k-1", 1, "early");
    assert_eq!(conflict(store.append(early).await), 0);
    let other_input = with_key(append("c-1", 0, &["a"]), "u-1/request", "k-1", 2, "late");
    places(store.append(other_input).await);
}

pub async fn keys_of_two_scopes_are_two(store: Store) {
    places(store.append(with_key(append("c-1", 0, &["a"]), "u-1/request", "k-1", 1, "c-1")).await);
    places(store.append(with_key(append("c-2", 0, &["a"]), "u-2/request", "k-1", 2, "c-2")).await);
    places(store.append(with_key(append("c-3", 0, &["a"]), "u-1/cancel", "k-1", 3, "c-3")).await);
    places(store.append(with_key(append("c-4", 0, &["a"]), "u-1/request", "k-2", 4, "c-4")).await);
}

pub async fn concurrent_repeats_write_once(store: Store) {
    let request = |i: usize| with_key(append(&format!("c-{i}"), 0, &["a"]), "u-1/request", "k-1", 1, &format!("c-{i}"));
    let outcomes = at_once(&store, (0..16).map(request).collect()).await;
    let fresh = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Appended::Fresh { .. }))).count();
    let results: BTreeSet<_> = outcomes
        .into_iter()
        .filter(|outcome| !matches!(outcome, Ok(Appended::Fresh { .. })))
        .map(|o| repeated(o).0)
        .collect();
    assert_eq!((fresh, results.len()), (1, 1), "{results:?}");
    assert_eq!(store.heads().0.iter().sum::<u64>(), 1);
}

pub async fn append_many_decides_each_on_its_own(store: Store) {
    let outcomes = store
        .append_many(vec![
            append("c-1", 0, &["a"]),
            append("c-1", 0, &["refused"]),
            append("c-1", 1, &["b"]),
            with_key(append("c-2", 0, &["a"]), "s", "k-1", 1, "first"),
            with_key(append("c-2", 1, &["refused"]), "s", "k-1", 1, "second"),
            append("c-2", 1, &["b"]),
        ])
        .await;
    let [first, stale, second, keyed, repeat, last]: [_; 6] = outcomes.try_into().unwrap();
    assert_eq!(conflict(stale), 1);
    assert_eq!(repeated(repeat).0, "first");
    let seqs: Vec<_> = [first, second, keyed, last].into_iter().flat_map(places).map(|position| position.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
    assert_eq!(payloads(&load(&store, "acme", "c-1").await), ["a", "b"]);
    assert_eq!(payloads(&load(&store, "acme", "c-2").await), ["a", "b"]);
    assert!(store.append_many(Vec::new()).await.is_empty());
}

pub async fn an_event_that_could_not_be_passed_on_is_refused(store: Store) {
    let header = append("c-1", 0, &[""]).events[0].header.encoded_len();
    let largest = "x".repeat(MAX_EVENT_BYTES - header);
    let too_large = format!("{largest}x");
    let request = |payload: &str, input| with_key(append("c-1", 0, &["=a", payload]), "s", "k-1", input, "c-1");
    let outcomes = store.append_many(vec![request(&too_large, 1), append("c-2", 0, &["a"])]).await;
    let [refused, beside]: [_; 2] = outcomes.try_into().unwrap();
    assert!(matches!(refused, Err(AppendError::TooLarge { bytes, .. }) if bytes == MAX_EVENT_BYTES + 1), "{refused:?}");
    places(beside);
    assert!(load(&store, "acme", "c-1").await.is_empty(), "no event of it was written, and no key");
    places(store.append(request(&largest, 2)).await);
    assert!(payloads(&load(&store, "acme", "c-1").await) == ["=a", &largest]);
}

pub async fn heads_cover_what_was_answered(store: Store) {
    let mut before = store.heads();
    assert_eq!(before.0.iter().sum::<u64>(), 0);
    for i in 0..20 {
        let positions = places(store.append(append(&format!("c-{i}"), 0, &["a", "b"])).await);
        let heads = store.heads();
        assert!(heads.covers(&before), "{heads:?} goes behind {before:?}");
        positions.iter().for_each(|position| assert!(heads.get(position.partition) >= position.seq));
        before = heads;
    }
}

/// The places that a stream's events say they have.
pub(super) fn stored_places(events: &[Arc<RecordedEvent>]) -> Vec<Position> {
    events.iter().map(|event| event.position).collect()
}
