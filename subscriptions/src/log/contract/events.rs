//! The contract of [`EventLog`]. It reads as everyone does, through `read_after` or a [`Reader`], so that what the port
//! lets a log do is allowed here too.

use std::{
    future::Future,
    sync::Arc,
    task::{Context, Waker},
};

use sluice_schema::{
    event::RecordedEvent,
    position::{Partition, Position, ReadVector, Seq},
};

use super::Fixture;
use crate::log::{
    EventLog, LogError,
    reader::{Reader, read_after},
};

/// How often a log may answer with nothing where its head says that there is more.
const PATIENCE: usize = 1000;

async fn fill(fixture: &dyn Fixture, count: usize) -> Vec<Position> {
    let mut positions = Vec::new();
    for i in 0..count {
        positions.push(fixture.append(&format!("e-{i}")).await);
    }
    positions
}

/// Events behind `after`, at least one.
async fn some_after(log: &dyn EventLog, partition: Partition, after: Seq, limit: usize) -> Vec<Arc<RecordedEvent>> {
    for _ in 0..PATIENCE {
        let events = read_after(log, partition, after, limit).await.unwrap();
        if !events.is_empty() {
            return events;
        }
    }
    panic!("partition {partition}: the head promises an event behind {after}, and none comes");
}

/// Everything behind `from` up to `to`.
async fn read_between(log: &dyn EventLog, partition: Partition, from: Seq, to: Seq) -> Vec<Arc<RecordedEvent>> {
    let mut events: Vec<Arc<RecordedEvent>> = Vec::new();
    let mut at = from;
    while at < to {
        events.extend(some_after(log, partition, at, 7).await);
        at = events.last().unwrap().position.seq;
    }
    events
}

fn head_of(log: &dyn EventLog, partition: Partition) -> Seq {
    log.heads().borrow().get(partition)
}

pub async fn places_are_dense_and_of_this_epoch(fixture: &dyn Fixture) {
    let log = fixture.log();
    assert!(log.partitions() > 1, "one partition hides mistakes");
    let mut expected = ReadVector::start(log.partitions());
    for position in fill(fixture, 100).await {
        assert_eq!(position.epoch, log.epoch());
        assert_eq!(position.seq, expected.get(position.partition) + 1);
        expected.advance(position.partition, position.seq);
    }
    assert_eq!(*log.heads().borrow(), expected);
    for (partition, head) in expected.partitions() {
        let seqs = read_between(log.as_ref(), partition, 0, head).await;
        let seqs: Vec<_> = seqs.iter().map(|event| event.position).collect();
        let all = (1..=head).map(|seq| Position { epoch: log.epoch(), partition, seq });
        assert_eq!(seqs, all.collect::<Vec<_>>());
    }
}

pub async fn events_come_in_the_order_of_their_appends(fixture: &dyn Fixture) {
    let log = fixture.log();
    let positions = fill(fixture, 100).await;
    for partition in 0..log.partitions() {
        let appended = positions.iter().enumerate().filter(|(_, position)| position.partition == partition);
        let appended: Vec<_> = appended.map(|(i, _)| format!("e-{i}")).collect();
        let read = read_between(log.as_ref(), partition, 0, head_of(log.as_ref(), partition)).await;
        assert_eq!(read.iter().map(|event| event.header.event_id.clone()).collect::<Vec<_>>(), appended);
    }
}

pub async fn a_reader_resumes_from_any_place(fixture: &dyn Fixture) {
    let log = fixture.log();
    fill(fixture, 60).await;
    let heads = log.heads().borrow().clone();
    let mut first = Reader::new(log.clone(), ReadVector::start(log.partitions()));
    let mut seen = Vec::new();
    while !first.vector().covers(&heads) {
        let place = first.vector().clone();
        let events = first.next_batch(5).await.unwrap();
        seen.extend(events.iter().map(|event| event.position));
        let mut second = Reader::new(log.clone(), place.clone());
        let mut rest = 0;
        while !second.vector().covers(&heads) {
            for event in second.next_batch(64).await.unwrap() {
                assert!(event.position.seq > place.get(event.position.partition));
                rest += 1;
            }
        }
        assert_eq!(rest, heads.0.iter().sum::<u64>() - place.0.iter().sum::<u64>());
    }
    let count = seen.len();
    seen.sort_by_key(|position| (position.partition, position.seq));
    seen.dedup();
    assert_eq!((seen.len(), count), (60, 60), "each event once");
}

pub async fn a_limit_is_kept(fixture: &dyn Fixture) {
    let log = fixture.log();
    fill(fixture, 60).await;
    for partition in 0..log.partitions() {
        for limit in [1, 2, 5] {
            let events = log.read(partition, 0, limit).await.unwrap();
            assert!(events.len() <= limit);
        }
    }
}

pub async fn nothing_is_behind_the_head(fixture: &dyn Fixture) {
    let log = fixture.log();
    for partition in 0..log.partitions() {
        assert!(read_after(log.as_ref(), partition, 0, 9).await.unwrap().is_empty());
    }
    fill(fixture, 30).await;
    for partition in 0..log.partitions() {
        let head = head_of(log.as_ref(), partition);
        assert!(read_after(log.as_ref(), partition, head, 9).await.unwrap().is_empty());
    }
}

pub async fn heads_never_promise_too_much(fixture: &dyn Fixture) {
    let log = fixture.log();
    let mut heads = log.heads();
    let watch = async {
        let mut before = ReadVector::start(log.partitions());
        while before.0.iter().sum::<u64>() < 100 {
            heads.changed().await.unwrap();
            let now = heads.borrow_and_update().clone();
            assert!(now.covers(&before), "{now:?} goes behind {before:?}");
            for (partition, head) in now.partitions().filter(|(partition, head)| *head > before.get(*partition)) {
                some_after(log.as_ref(), partition, head - 1, 1).await;
            }
            before = now;
        }
    };
    tokio::join!(watch, fill(fixture, 100));
}

pub async fn an_append_wakes_a_waiting_reader(fixture: &dyn Fixture) {
    let log = fixture.log();
    let mut reader = Reader::new(log.clone(), ReadVector::start(log.partitions()));
    for i in 0..20 {
        let id = format!("e-{i}");
        let (events, position) = tokio::join!(reader.next_batch(9), fixture.append(&id));
        assert_eq!(events.unwrap().iter().map(|event| event.position).collect::<Vec<_>>(), [position]);
    }
}

pub async fn partitions_are_independent(fixture: &dyn Fixture) {
    let log = fixture.log();
    fill(fixture, 100).await;
    let heads = log.heads().borrow().clone();
    assert!(heads.0.iter().filter(|head| **head > 0).count() > 1, "{heads:?}: all came to one partition");
    // One that is never read holds up no other.
    for (partition, head) in heads.partitions().skip(1) {
        assert_eq!(read_between(log.as_ref(), partition, 0, head).await.len() as u64, head);
    }
}

pub async fn a_dropped_read_has_no_effect(fixture: &dyn Fixture) {
    let log = fixture.log();
    fill(fixture, 40).await;
    let heads = log.heads().borrow().clone();
    let mut reader = Reader::new(log.clone(), ReadVector::start(log.partitions()));
    let mut seen = 0;
    while !reader.vector().covers(&heads) {
        {
            let mut batch = std::pin::pin!(reader.next_batch(3));
            if let std::task::Poll::Ready(events) = batch.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                seen += events.unwrap().len();
                continue;
            }
        }
        seen += reader.next_batch(3).await.unwrap().len();
    }
    assert_eq!(seen, 40);
}

pub async fn behind_retention_is_a_gap(fixture: &dyn Fixture) {
    let log = fixture.log();
    assert_eq!(log.earliest().await.unwrap(), ReadVector::start(log.partitions()));
    fill(fixture, 40).await;
    fixture.forget().await;
    let gone = log.heads().borrow().clone();
    assert_eq!(log.earliest().await.unwrap(), gone);
    for (partition, earliest) in gone.partitions().filter(|(_, earliest)| *earliest > 0) {
        for after in 0..earliest {
            match read_after(log.as_ref(), partition, after, 9).await {
                Err(LogError::Gap { partition: of, earliest: told }) => assert_eq!((of, told), (partition, earliest)),
                other => panic!("behind {after}: {other:?}"),
            }
        }
    }
    let mut reader = Reader::new(log.clone(), gone);
    let position = fixture.append("e-new").await;
    let events = reader.next_batch(9).await.unwrap();
    assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), [position], "and the new one is there");
}
