//! Two readers share a topic; one of them goes.

use super::{
    messages::{Encoding, PARTITIONS, assert_once_in_order, config, event},
    setup::{Store, create, name, send},
};

const EVENTS: usize = 210;

async fn send_some(topic: &str, numbers: std::ops::Range<usize>) {
    send(topic, &numbers.map(|n| event(n, Encoding::Binary)).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn nothing_is_lost_when_one_of_two_goes() {
    let (topic, store) = (name(), Store::open().await);
    create(&topic, PARTITIONS, "1048588").await;
    let config = config(&topic, "cloudevents");
    let mut first = store.reader(&config);
    send_some(&topic, 0..70).await;
    first.asks(1).await;
    let mut second = store.reader(&config);
    // Until the second has a partition, more comes for it to be asked about.
    let mut sent = 70;
    while second.try_asks(1).await.is_err() {
        send_some(&topic, sent..sent + 7).await;
        sent += 7;
    }
    send_some(&topic, sent..EVENTS).await;
    first.drop_it().await;
    store.reaches(EVENTS as u64).await;
    second.stop().await;
    assert_once_in_order(&store.events().await, 0..EVENTS);
}

/// A partition that was paused, went to another reader and came back must be read on.
#[tokio::test]
async fn what_was_paused_when_it_went_is_read_when_it_comes_back() {
    let (topic, store) = (name(), Store::open().await);
    create(&topic, PARTITIONS, "1048588").await;
    let config = config(&topic, "cloudevents");
    store.set_away(true);
    let mut first = store.reader(&config);
    send_some(&topic, 0..70).await;
    // It holds from 1.5 s on, and the sixth attempt is behind that.
    first.asks(6).await;
    let mut second = store.reader(&config);
    second.asks(1).await;
    store.set_away(false);
    store.reaches(70).await;
    send_some(&topic, 70..140).await;
    store.reaches(140).await;
    second.stop().await;
    send_some(&topic, 140..EVENTS).await;
    store.reaches(EVENTS as u64).await;
    first.stop().await;
    assert_once_in_order(&store.events().await, 0..EVENTS);
}

/// What comes in with a neighbour's partitions is kept, though the reader holds.
#[tokio::test]
async fn one_that_goes_while_the_store_is_away_leaves_its_work_to_the_other() {
    let (topic, store) = (name(), Store::open().await);
    create(&topic, PARTITIONS, "1048588").await;
    let config = config(&topic, "cloudevents");
    store.set_away(true);
    let (mut first, mut second) = (store.reader(&config), store.reader(&config));
    send_some(&topic, 0..70).await;
    first.asks(6).await;
    second.asks(6).await;
    second.drop_it().await;
    // Two more attempts are 5 s, and the other left its group at once.
    first.asks(9).await;
    store.set_away(false);
    store.reaches(70).await;
    first.stop().await;
    assert_once_in_order(&store.events().await, 0..70);
}
