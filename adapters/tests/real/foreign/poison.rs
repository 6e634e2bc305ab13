//! What can't be an event is put aside with its reason, and holds up nobody.

use serde_json::json;

use super::{
    counts::Counts,
    letters::{Letter, letters},
    messages::{Encoding, Message, PARTITIONS, assert_once_in_order, changed, config, event},
    setup::{Store, create, name, send},
};

/// Of member m-0, whose good events are before and behind them.
fn poison() -> Vec<(&'static str, Message)> {
    let good = event(0, Encoding::Structured);
    vec![
        ("undecodable", Message { value: b"\xff\x00garbage".to_vec(), ..good.clone() }),
        ("undecodable", Message { headers: Vec::new(), value: Vec::new(), ..good.clone() }),
        ("unmapped", changed(70, |event| event["type"] = json!("coverage.forgotten"))),
        ("refused", changed(77, |event| event["tenant"] = json!("birch"))),
        ("refused", changed(84, |event| event["data"]["memberId"] = json!("Jane Doe"))),
        ("refused", changed(91, |event| event["source"] = json!("//with a blank"))),
        ("conflict", changed(0, |event| event["data"]["planName"] = json!("Another plan"))),
        ("too_large", changed(98, |event| event["data"]["planName"] = json!("x".repeat(2 << 20)))),
    ]
}

fn is_of(letter: &Letter, topic: &str, message: &Message, offset: i64) {
    assert_eq!((letter.value.as_ref(), &letter.key), (Some(&message.value), &message.key));
    for (name, value) in &message.headers {
        assert_eq!(letter.header(name).unwrap().as_bytes(), value);
    }
    let place = ["sluice-topic", "sluice-partition", "sluice-offset"].map(|name| letter.header(name).unwrap());
    assert_eq!(place, [topic, &message.partition.to_string(), &offset.to_string()]);
    let detail = letter.header("sluice-detail").unwrap();
    assert!(!detail.is_empty() && !detail.contains("Jane") && !detail.contains("birch"), "{detail}");
    assert!(letter.header("sluice-timestamp").is_some() && letter.header("sluice-left-out-bytes").is_none());
}

#[tokio::test]
async fn each_goes_to_the_dead_letters_with_its_reason_and_bytes() {
    let counts = Counts::default();
    let _counted = metrics::set_default_local_recorder(&counts);
    let (topic, store) = (name(), Store::open().await);
    create(&topic, PARTITIONS, "4000000").await;
    let poison = poison();
    let mut messages = vec![event(0, Encoding::Structured)];
    for (i, (_, message)) in poison.iter().enumerate() {
        messages.extend([message.clone(), event(7 * (i + 1), Encoding::Binary), event(i + 1, Encoding::Binary)]);
    }
    // 7 is in both lists: a repeat.
    let offsets = send(&topic, &messages).await;
    let reader = store.reader(&config(&topic, "cloudevents"));
    let letters = letters(&format!("{topic}.dead-letter"), poison.len()).await;
    counts.reach(messages.len()).await;
    reader.stop().await;

    for (i, (reason, message)) in poison.iter().enumerate() {
        let offset = offsets[1 + 3 * i].to_string();
        let letter = letters.iter().find(|letter| {
            letter.header("sluice-offset") == Some(&offset) && letter.header("sluice-partition") == Some("0")
        });
        let letter = letter.unwrap_or_else(|| panic!("no letter of {reason}"));
        assert_eq!(letter.reason(), *reason);
        is_of(letter, &topic, message, offsets[1 + 3 * i]);
    }
    for reason in ["undecodable", "unmapped", "refused", "conflict", "too_large"] {
        let expected = poison.iter().filter(|(of, _)| *of == reason).count() as u64;
        assert_eq!(counts.of(reason), expected, "{reason}");
    }
    let good: std::collections::BTreeSet<_> = (0..=8).chain((0..=8).map(|i| 7 * i)).collect();
    assert_eq!((counts.of("published"), counts.of("repeated")), (good.len() as u64, 1));
    assert_once_in_order(&store.events().await, good);
}

/// None that the reader takes from a topic comes near the store's bound, which is lower here.
#[tokio::test]
async fn what_the_store_finds_too_large_is_a_letter_and_holds_up_nobody() {
    let counts = Counts::default();
    let _counted = metrics::set_default_local_recorder(&counts);
    let (topic, store) = (name(), Store::open().await);
    create(&topic, PARTITIONS, "1048588").await;
    store.limit_events(50_000);
    let large = changed(0, |event| event["data"]["planName"] = json!("x".repeat(100_000)));
    // All of one member.
    send(&topic, &[large.clone(), event(7, Encoding::Binary)]).await;
    let reader = store.reader(&config(&topic, "cloudevents"));
    let letter = letters(&format!("{topic}.dead-letter"), 1).await.remove(0);
    store.reaches(1).await;
    counts.reach(2).await;
    reader.stop().await;
    assert_eq!((letter.reason(), letter.value.as_ref()), ("too_large", Some(&large.value)));
    assert_eq!((counts.of("too_large"), counts.of("published")), (1, 1));
    assert_once_in_order(&store.events().await, [7]);
}

#[tokio::test]
async fn a_letter_that_is_replayed_enters_once_the_mapping_knows_it() {
    let (topic, store) = (name(), Store::open().await);
    create(&topic, PARTITIONS, "1048588").await;
    let mut config = config(&topic, "cloudevents");
    send(&topic, &[changed(4, |event| event["type"] = json!("coverage.new"))]).await;
    let reader = store.reader(&config);
    let dead = format!("{topic}.dead-letter");
    let replay = |letter: Letter| Message {
        partition: 0,
        key: letter.key,
        headers: letter.headers,
        value: letter.value.unwrap(),
    };
    let first = letters(&dead, 1).await.remove(0);
    send(&topic, &[replay(first)]).await;
    // Rejected again: the headers of its first time are gone (two of a name would fail in `Letter::header`).
    let again = letters(&dead, 2).await.into_iter().find(|letter| letter.header("sluice-partition") == Some("0"));
    let again = again.unwrap();
    assert_eq!((again.reason(), again.header("sluice-offset")), ("unmapped", Some("0")));
    reader.stop().await;

    config.events[0].r#type = "coverage.new".into();
    let reader = store.reader(&config);
    send(&topic, &[replay(again)]).await;
    store.reaches(1).await;
    reader.stop().await;
    assert_once_in_order(&store.events().await, [4]);
}

#[tokio::test]
async fn a_letter_that_the_topic_can_not_hold_goes_without_its_value() {
    let (topic, store) = (name(), Store::open().await);
    let mut config = config(&topic, "cloudevents");
    config.dead_letter_topic = Some(format!("{topic}.aside"));
    create(&topic, PARTITIONS, "1048588").await;
    create(&format!("{topic}.aside"), 1, "10000").await;
    send(&topic, &[Message { value: vec![b'x'; 20_000], ..event(0, Encoding::Structured) }]).await;
    let reader = store.reader(&config);
    let letter = letters(&format!("{topic}.aside"), 1).await.remove(0);
    reader.stop().await;
    assert_eq!((letter.reason(), letter.value.as_ref()), ("undecodable", None));
    assert_eq!(letter.header("sluice-left-out-bytes"), Some("20000"));
}
