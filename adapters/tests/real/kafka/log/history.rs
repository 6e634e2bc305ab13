//! Reading behind the window.

use std::{collections::BTreeSet, sync::Arc};

use rdkafka::Offset;
use sluice_adapters::kafka::{KafkaLog, LogOptions};
use sluice_schema::{
    event::RecordedEvent,
    position::{Partition, ReadVector, Seq},
    sealed::Sealed,
};
use sluice_subscriptions::log::{EventLog, LogError, reader::read_after};

use super::{
    pipeline::{EPOCH, TINY, arrives, empty_source, open},
    topic::{PARTITIONS, Topic, event, events},
};

/// The records of relays that start again behind their place, and of two at once.
fn repeating(rng: &mut fastrand::Rng, at_least: usize) -> Vec<Seq> {
    let (mut seqs, mut head) = (Vec::new(), 0);
    while seqs.len() < at_least {
        let last_head = head;
        let from: Seq = head - rng.u64(0..=head.min(30));
        let two_at_once = rng.bool();
        for seq in from + 1..=from + rng.u64(1..60) {
            seqs.push(seq);
            head = head.max(seq);
            if two_at_once && seq % 3 == 0 && seq > 7 && seq - 7 <= last_head {
                seqs.push(seq - 7);
            }
        }
    }
    seqs
}

async fn written(topic: &Topic, rng: &mut fastrand::Rng, count: usize) -> Vec<Vec<Seq>> {
    let mut all = Vec::new();
    for partition in 0..PARTITIONS {
        let seqs = repeating(rng, count);
        topic.write_all(events(EPOCH, partition, seqs.iter().copied()).iter().map(Arc::as_ref)).await;
        all.push(seqs);
    }
    all
}

fn heads(records: &[Vec<Seq>]) -> ReadVector {
    ReadVector(records.iter().map(|seqs| seqs.iter().copied().max().unwrap()).collect())
}

/// All that is behind a place, which must be just what it should be.
async fn resume(log: &dyn EventLog, partition: Partition, after: Seq, head: Seq) {
    let mut at = after;
    while at < head {
        let events = read_after(log, partition, at, 50).await.unwrap();
        assert!(!events.is_empty(), "nothing behind {at} of partition {partition}");
        for event in events {
            at += 1;
            assert_eq!(event.position.seq, at);
            assert_eq!(event.header.event_id, format!("e-{partition}-{at}"));
        }
    }
    assert_eq!(at, head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_resumes_anywhere_misses_nothing_and_sees_no_repeat() {
    let mut rng = fastrand::Rng::with_seed(41);
    let topic = Topic::new().await;
    let before = open(&topic, empty_source(), TINY).await;
    let records = written(&topic, &mut rng, 2500).await;
    let heads = heads(&records);
    arrives(before.as_ref(), &heads).await;
    let after = open(&topic, empty_source(), TINY).await;
    assert_eq!(*after.heads().borrow(), heads);
    for turn in 0..120 {
        let partition = rng.u16(0..PARTITIONS);
        let head = heads.get(partition);
        let log = if turn % 2 == 0 { &before } else { &after };
        resume(log.as_ref(), partition, rng.u64(0..head), head).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_retention_is_just_the_gap_that_there_is() {
    let topic = Topic::new().await;
    let log = open(&topic, empty_source(), TINY).await;
    for partition in 0..PARTITIONS {
        topic.write_all(events(EPOCH, partition, 1..=100).iter().map(Arc::as_ref)).await;
    }
    arrives(log.as_ref(), &ReadVector(vec![100; PARTITIONS.into()])).await;
    // Offsets begin at 0 and seqs at 1. What is in memory stays readable until the beginning is asked for.
    let gone = [0, 1, 57, 90];
    topic.delete_before((0..).zip(gone.map(Offset::Offset))).await;
    for (partition, gone) in (0..).zip(gone.map(i64::unsigned_abs)) {
        for after in 0..gone {
            match log.read(partition, after, 9).await {
                Err(LogError::Gap { partition: of, earliest }) => assert_eq!((of, earliest), (partition, gone)),
                other => panic!("behind {after} of {partition}: {other:?}"),
            }
        }
        resume(log.as_ref(), partition, gone, 100).await;
    }
    assert_eq!(log.earliest().await.unwrap(), ReadVector(gone.map(i64::unsigned_abs).to_vec()));
    topic.delete_before([(2, Offset::Offset(80))]).await;
    assert_eq!(log.earliest().await.unwrap().get(2), 80, "it is asked anew");
    assert!(matches!(log.read(2, 79, 9).await, Err(LogError::Gap { earliest: 80, .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_retention_with_repeats_nothing_is_passed_over_in_silence() {
    let mut rng = fastrand::Rng::with_seed(5);
    let topic = Topic::new().await;
    let records = written(&topic, &mut rng, 400).await;
    let log = open(&topic, empty_source(), TINY).await;
    let cuts: Vec<usize> = records.iter().map(|seqs| rng.usize(0..seqs.len())).collect();
    let cut = |cut: &usize| Offset::Offset(i64::try_from(*cut).unwrap());
    topic.delete_before((0..).zip(cuts.iter().map(cut))).await;
    for ((partition, seqs), cut) in (0..).zip(&records).zip(cuts) {
        let kept: BTreeSet<Seq> = seqs[cut..].iter().copied().collect();
        let head = heads(&records).get(partition);
        for after in (0..head).step_by(4) {
            let first = seqs.iter().position(|seq| *seq == after + 1).unwrap();
            match read_after(log.as_ref(), partition, after, 9).await {
                Ok(events) => assert_eq!(events[0].position.seq, after + 1),
                Err(LogError::Gap { earliest, .. }) => {
                    assert!(first < cut, "{} is there", after + 1);
                    assert!(earliest == head || kept.contains(&(earliest + 1)), "nothing is behind {earliest}");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_never_relayed_is_a_gap_and_the_rest_goes_on() {
    let topic = Topic::new().await;
    let log = open(&topic, empty_source(), LogOptions::default()).await;
    topic.write_all(events(EPOCH, 0, (1..=10).chain(21..=30)).iter().map(Arc::as_ref)).await;
    arrives(log.as_ref(), &ReadVector(vec![30, 0, 0, 0])).await;
    resume(log.as_ref(), 0, 3, 10).await;
    for after in [10, 15, 19] {
        assert!(matches!(log.read(0, after, 9).await, Err(LogError::Gap { earliest: 20, .. })), "{after}");
    }
    resume(log.as_ref(), 0, 20, 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_any_size_come_through() {
    let topic = Topic::new().await;
    let log = open(&topic, empty_source(), LogOptions { window_events: 1, window_bytes: 1 << 20 }).await;
    for (seq, bytes) in (1..).zip([200, 8_000_000, 200, 2_000_000, 1_000_000, 8_000_000, 200]) {
        let event = event(EPOCH, 0, seq);
        topic.write(&RecordedEvent { payload: Sealed(vec![7; bytes].into()), ..event }).await;
    }
    arrives(log.as_ref(), &ReadVector(vec![7, 0, 0, 0])).await;
    for after in [0, 1, 4, 5] {
        resume(log.as_ref(), 0, after, 7).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_partition_is_as_far_as_the_relay_knows() {
    let topic = Topic::new().await;
    topic.write_all(events(EPOCH, 1, 1..=50).iter().map(Arc::as_ref)).await;
    topic.delete_before([(1, Offset::End)]).await;
    let relayed = ReadVector(vec![0, 50, 0, 0]);
    let log = KafkaLog::open(&topic.kafka, empty_source(), relayed.clone()).await.unwrap();
    assert_eq!(*log.heads().borrow(), relayed);
    assert!(matches!(log.read(1, 20, 9).await, Err(LogError::Gap { earliest: 50, .. })));
    assert_eq!(log.earliest().await.unwrap(), relayed);
    topic.write_all(events(EPOCH, 1, 51..=52).iter().map(Arc::as_ref)).await;
    arrives(&log, &ReadVector(vec![0, 52, 0, 0])).await;
    resume(&log, 1, 50, 52).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_resume_from_about_one_place_share_what_is_fetched() {
    const READERS: u64 = 200;
    const EVENTS: u64 = 2000;
    let topic = Topic::new().await;
    let log = open(&topic, empty_source(), TINY).await;
    for partition in 0..PARTITIONS {
        topic.write_all(events(EPOCH, partition, 1..=EVENTS).iter().map(Arc::as_ref)).await;
    }
    arrives(log.as_ref(), &ReadVector(vec![EVENTS; PARTITIONS.into()])).await;
    let before = log.fetches();
    let resumed = (0..READERS).map(|reader| {
        let log = log.clone();
        let partition = Partition::try_from(reader % u64::from(PARTITIONS)).unwrap();
        tokio::spawn(async move { resume(log.as_ref(), partition, 100 + reader % 50, EVENTS).await })
    });
    for resumed in resumed.collect::<Vec<_>>() {
        resumed.await.unwrap();
    }
    let fetches = log.fetches() - before;
    let reads = READERS * (EVENTS / 50);
    println!("{fetches} fetches for {READERS} readers, {reads} reads");
    // Each partition's 1,900 events fit into four fetches; who is a little behind asks once more.
    assert!(fetches <= 4 * u64::from(PARTITIONS) * 2, "{fetches} fetches for {reads} reads");
}
