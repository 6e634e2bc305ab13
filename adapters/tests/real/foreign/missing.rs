//! Topics that are not there.

use rdkafka::admin::AdminOptions;

use super::{
    counts::Warnings,
    letters::letters,
    messages::{Encoding, Message, PARTITIONS, assert_once_in_order, config, event},
    setup::{Store, admin, create, name, send},
};

#[tokio::test]
async fn a_missing_topic_is_one_warning_and_is_read_once_it_is_made() {
    let warnings = Warnings::default();
    let _heard = tracing::subscriber::set_default(warnings.clone());
    let (topic, store) = (name(), Store::open().await);
    let reader = store.reader(&config(&topic, "cloudevents"));
    warnings.one_says("create it").await;
    create(&topic, PARTITIONS, "1048588").await;
    send(&topic, &[event(1, Encoding::Structured)]).await;
    store.reaches(1).await;
    reader.stop().await;
    let of_it: Vec<_> = warnings.all().into_iter().filter(|warning| warning.contains("is not there")).collect();
    assert_eq!(of_it.len(), 1, "{of_it:?}");
    assert!(of_it[0].contains(&topic), "{of_it:?}");
    assert_once_in_order(&store.events().await, [1]);
}

#[tokio::test]
async fn a_dead_letter_topic_that_goes_is_made_anew() {
    let (topic, store) = (name(), Store::open().await);
    create(&topic, PARTITIONS, "1048588").await;
    let dead = format!("{topic}.dead-letter");
    let reader = store.reader(&config(&topic, "cloudevents"));
    let garbage = |text: &str| Message { value: text.into(), ..event(0, Encoding::Structured) };
    send(&topic, &[garbage("first")]).await;
    letters(&dead, 1).await;
    admin().delete_topics(&[&dead], &AdminOptions::new()).await.unwrap().pop().unwrap().unwrap();
    send(&topic, &[garbage("second")]).await;
    let letter = letters(&dead, 1).await.remove(0);
    assert_eq!(letter.value.as_deref(), Some(&b"second"[..]));
    reader.stop().await;
}
