//! Once each, in order per member, however often the producer repeats and the reader ends.

use fastrand::Rng;
use rdkafka::{
    admin::{AdminOptions, NewTopic, TopicReplication},
    producer::{FutureProducer, FutureRecord, Producer},
};

use super::{
    counts::Counts,
    messages::{Encoding, Message, PARTITIONS, assert_once_in_order, config, event},
    setup::{LONG, Store, admin, client, create, name, send},
};

const EVENTS: usize = 300;

/// Each event in order, and behind some of them one that was there before.
fn with_repeats(rng: &mut Rng, encode: impl Fn(&mut Rng) -> Encoding) -> Vec<Message> {
    let mut messages = Vec::new();
    for n in 0..EVENTS {
        messages.push(event(n, encode(rng)));
        for _ in 0..rng.usize(0..3) {
            messages.push(event(rng.usize(0..=n), encode(rng)));
        }
    }
    messages
}

async fn survives(format: &str, encode: impl Fn(&mut Rng) -> Encoding) {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let (mut rng, counts) = (Rng::with_seed(seed), Counts::default());
    let _counted = metrics::set_default_local_recorder(&counts);
    let (topic, store) = (name(), Store::open().await);
    create(&topic, PARTITIONS, "1048588").await;
    let messages = with_repeats(&mut rng, encode);
    let (early, late) = messages.split_at(messages.len() / 2);
    let mut config = config(&topic, format);

    send(&topic, early).await;
    let mut drops = 0;
    while store.count() < EVENTS as u64 {
        // Sometimes the offsets are lost too.
        config.group = rng.bool().then(name);
        let reader = store.reader(&config);
        if drops == 1 {
            send(&topic, late).await;
        }
        store.reaches((store.count() + rng.u64(1..60)).min(EVENTS as u64)).await;
        reader.drop_it().await;
        drops += 1;
    }
    assert!(drops > 3, "{drops}");

    // All of it once more.
    counts.reset();
    config.group = Some(name());
    let reader = store.reader(&config);
    counts.reach(messages.len()).await;
    reader.stop().await;
    assert_eq!((counts.of("repeated"), counts.of("published")), (messages.len() as u64, 0));
    assert_once_in_order(&store.events().await, 0..EVENTS);
}

#[tokio::test]
async fn cloud_events_in_both_modes_are_there_once_and_in_order() {
    survives("cloudevents", |rng| if rng.bool() { Encoding::Binary } else { Encoding::Structured }).await;
}

#[tokio::test]
async fn our_protobuf_is_there_once_and_in_order() {
    survives("protobuf", |_| Encoding::Protobuf).await;
}

#[tokio::test]
async fn what_a_transaction_took_back_has_not_happened() {
    let (topic, store) = (name(), Store::open().await);
    create(&topic, PARTITIONS, "1048588").await;
    let producer: FutureProducer = client().set("transactional.id", name()).create().unwrap();
    producer.init_transactions(LONG).unwrap();
    for n in 0..4 {
        producer.begin_transaction().unwrap();
        let message = event(n, Encoding::Structured);
        let record = FutureRecord::to(&topic).partition(0).key(&message.key).payload(&message.value);
        producer.send(record.headers(message.headers()), LONG).await.unwrap();
        if n % 2 == 0 { producer.abort_transaction(LONG) } else { producer.commit_transaction(LONG) }.unwrap();
    }
    let reader = store.reader(&config(&topic, "cloudevents"));
    store.reaches(2).await;
    reader.stop().await;
    assert_once_in_order(&store.events().await, [1, 3]);
}

/// Brokers and producers compress as they like.
#[tokio::test]
async fn each_compression_is_read() {
    let store = Store::open().await;
    for (n, codec) in ["uncompressed", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let topic = name();
        let new = NewTopic::new(&topic, PARTITIONS, TopicReplication::Fixed(1)).set("compression.type", codec);
        admin().create_topics([&new], &AdminOptions::new()).await.unwrap().pop().unwrap().unwrap();
        send(&topic, &[event(n, Encoding::Structured)]).await;
        let reader = store.reader(&config(&topic, "cloudevents"));
        store.reaches(n as u64 + 1).await;
        reader.stop().await;
    }
    assert_once_in_order(&store.events().await, 0..5);
}
