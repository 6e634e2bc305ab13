//! What is in a dead-letter topic.

use rdkafka::{
    Message as _,
    consumer::{Consumer, StreamConsumer},
    error::KafkaError,
    message::Headers,
};
use tokio::time::timeout;

use super::setup::{LONG, client, name};

#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) key: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) value: Option<Vec<u8>>,
}

impl Letter {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        let (_, value) = found.next()?;
        assert!(found.next().is_none(), "{name} is there twice");
        Some(std::str::from_utf8(value).unwrap())
    }

    pub(super) fn reason(&self) -> &str {
        self.header("sluice-reason").unwrap()
    }
}

/// Waits for so many; the topic may not be there yet.
pub(super) async fn letters(topic: &str, count: usize) -> Vec<Letter> {
    let mut config = client();
    config.set("group.id", name()).set("auto.offset.reset", "earliest");
    let consumer: StreamConsumer =
        config.set("enable.auto.commit", "false").set("topic.metadata.refresh.interval.ms", "500").create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let mut letters = Vec::new();
    while letters.len() < count {
        let received = timeout(LONG, consumer.recv()).await;
        let message = match received.unwrap_or_else(|_| panic!("{} of {count} letters", letters.len())) {
            Ok(message) => message,
            Err(KafkaError::MessageConsumption(_)) => continue,
            Err(error) => panic!("{error}"),
        };
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        letters.push(Letter {
            key: String::from_utf8(message.key().unwrap().to_vec()).unwrap(),
            headers: headers.map(|header| (header.key.to_owned(), header.value.unwrap().to_vec())).collect(),
            value: message.payload().map(<[u8]>::to_vec),
        });
    }
    tokio::task::spawn_blocking(move || drop(consumer)).await.unwrap();
    letters
}
