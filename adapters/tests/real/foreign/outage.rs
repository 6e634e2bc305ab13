//! While the store is away nothing is skipped and nothing committed, and the readers stay what they are.

use rdkafka::{Offset, TopicPartitionList, admin::AdminOptions};

use super::{
    counts::Warnings,
    messages::{Encoding, PARTITIONS, assert_once_in_order, config, event},
    setup::{Store, admin, committed, create, members, name, send},
};

const EVENTS: usize = 40;

#[tokio::test]
async fn what_comes_while_the_store_is_away_waits_for_it() {
    let (topic, store) = (name(), Store::open().await);
    create(&topic, PARTITIONS, "1048588").await;
    let config = config(&topic, "cloudevents");
    let group = format!("sluice-foreign-{topic}");
    let events: Vec<_> = (0..EVENTS).map(|n| event(n, Encoding::Binary)).collect();
    send(&topic, &events).await;
    store.set_away(true);

    let mut reader = store.reader(&config);
    reader.asks(3).await;
    // A shutdown commits what is settled: nothing.
    reader.stop().await;
    assert_eq!(committed(&topic, &group, PARTITIONS), [None; 3]);
    assert_eq!(store.count(), 0);

    store.set_away(false);
    let reader = store.reader(&config);
    store.reaches(EVENTS as u64).await;
    send(&topic, &[event(EVENTS, Encoding::Binary)]).await;
    // One more batch: the one before it is settled.
    store.reaches(EVENTS as u64 + 1).await;
    reader.stop().await;
    assert_once_in_order(&store.events().await, 0..=EVENTS);
    let committed: i64 = committed(&topic, &group, PARTITIONS).into_iter().flatten().sum();
    assert!(committed >= EVENTS as i64, "{committed}");
}

/// The pauses between the reader's attempts double from 100 ms to 5 s: there are nine in the first 16 s, and the group
/// bears 6 s of silence.
#[tokio::test]
async fn a_reader_stays_in_its_group_however_long_the_store_is_away() {
    let (topic, store) = (name(), Store::open().await);
    create(&topic, PARTITIONS, "1048588").await;
    let config = config(&topic, "cloudevents");
    let group = format!("sluice-foreign-{topic}");
    store.set_away(true);
    let mut reader = store.reader(&config);
    send(&topic, &[event(0, Encoding::Binary)]).await;
    reader.asks(1).await;
    let before = members(&group);
    assert_eq!(before.len(), 1);
    // These come while the reader holds: they wait in the topic, not in memory.
    reader.asks(6).await;
    send(&topic, &(1..EVENTS).map(|n| event(n, Encoding::Binary)).collect::<Vec<_>>()).await;
    reader.asks(9).await;
    assert_eq!(members(&group), before, "it left the group");
    store.set_away(false);
    store.reaches(EVENTS as u64).await;
    assert_eq!(members(&group), before, "it left the group");
    reader.stop().await;
    assert!(members(&group).is_empty(), "it did not leave at its end");
    assert_once_in_order(&store.events().await, 0..EVENTS);
}

/// Memory stays bounded: what comes while a reader holds stays in the topic. Seen by taking it away there, which is told.
#[tokio::test]
async fn a_reader_that_holds_fetches_nothing_more() {
    let warnings = Warnings::default();
    let _heard = tracing::subscriber::set_default(warnings.clone());
    let (topic, store) = (name(), Store::open().await);
    create(&topic, PARTITIONS, "1048588").await;
    store.set_away(true);
    let mut reader = store.reader(&config(&topic, "cloudevents"));
    let of_member_0 = |n| event(7 * n, Encoding::Binary);
    send(&topic, &[of_member_0(0)]).await;
    // It holds from 1.5 s on, and the sixth attempt is behind that.
    reader.asks(6).await;
    let offsets = send(&topic, &(1..EVENTS).map(of_member_0).collect::<Vec<_>>()).await;
    reader.asks(8).await;
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&topic, 0, Offset::Offset(offsets.last().unwrap() + 1)).unwrap();
    admin().delete_records(&before, &AdminOptions::new()).await.unwrap();
    store.set_away(false);
    send(&topic, &[of_member_0(EVENTS)]).await;
    store.reaches(2).await;
    warnings.one_says("offset reset").await;
    reader.stop().await;
    assert_once_in_order(&store.events().await, [0, 7 * EVENTS]);
}
