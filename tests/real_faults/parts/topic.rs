//! The topic, as somebody who may do anything with it.

use std::{collections::BTreeMap, collections::BTreeSet, time::Duration};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
};
use sluice_adapters::kafka::{KafkaOptions, TopicOptions, ensure_topic, topic_exists};
use tokio::task::spawn_blocking;

use crate::{
    harness::{DEADLINE, soon},
    installation::{Home, required},
};

/// As many as the tests' databases have.
const PARTITIONS: u16 = 4;

/// An installation's topic.
#[derive(Clone)]
pub(crate) struct Topic(KafkaOptions);

impl Topic {
    pub(crate) fn of(home: &Home) -> Self {
        Self(KafkaOptions {
            brokers: required("SLUICE_TEST_KAFKA"),
            topic: home.tenant().into(),
            properties: BTreeMap::new(),
            client_id: "sluice-test".into(),
            deadline: Duration::from_secs(10),
        })
    }

    pub(crate) async fn delete(&self) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let outcome = admin.delete_topics(&[&self.0.topic], &AdminOptions::new()).await.unwrap();
        assert!(outcome.iter().all(Result::is_ok), "{outcome:?}");
    }

    /// As [`Self::delete`]; returns once nobody is told of it any more.
    pub(crate) async fn remove(&self) {
        self.delete().await;
        let gone = async { while topic_exists(&self.0).await.unwrap() {} };
        soon("the end of the topic", gone).await;
    }

    /// After [`Self::delete`]: the brokers take a moment to forget its name.
    pub(crate) async fn make_anew(&self) {
        let options =
            TopicOptions { partitions: PARTITIONS, replication: 1, retention: Duration::from_secs(24 * 3600) };
        let made = async { while !ensure_topic(&self.0, &options).await.is_ok_and(|state| state.created) {} };
        soon("another topic of the same name", made).await;
    }

    /// How many records there are, and of which epochs.
    pub(crate) async fn epochs(&self) -> (usize, BTreeSet<Vec<u8>>) {
        let topic = self.clone();
        spawn_blocking(move || topic.read_epochs()).await.unwrap()
    }

    fn read_epochs(&self) -> (usize, BTreeSet<Vec<u8>>) {
        let consumer: BaseConsumer = self.client().set("group.id", "sluice-test").create().unwrap();
        let (mut all, mut left) = (TopicPartitionList::new(), 0);
        for partition in 0..i32::from(PARTITIONS) {
            let (low, high) = consumer.fetch_watermarks(&self.0.topic, partition, DEADLINE).unwrap();
            all.add_partition_offset(&self.0.topic, partition, Offset::Offset(low)).unwrap();
            left += usize::try_from(high - low).unwrap();
        }
        consumer.assign(&all).unwrap();
        let (count, mut epochs) = (left, BTreeSet::new());
        while left > 0 {
            let record = consumer.poll(DEADLINE).expect("the records are there").unwrap();
            let epoch = record.headers().unwrap().iter().find(|header| header.key == "sluice-epoch").unwrap();
            epochs.insert(epoch.value.unwrap().to_vec());
            left -= 1;
        }
        (count, epochs)
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.0.brokers);
        config
    }
}
