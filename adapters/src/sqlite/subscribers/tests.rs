use std::sync::Arc;

use sluice_schema::position::{Cursor, Epoch, ReadVector};
use sluice_subscriptions::subscribers::{Subscriber, SubscriberState};

use super::{SCHEMA, SqliteSubscribers};
use crate::sqlite::test_support::Home;

mod contract {
    use super::*;

    async fn empty() -> ([Arc<dyn SubscriberState>; 2], Home) {
        let home = Home::new();
        let node: Arc<dyn SubscriberState> = Arc::new(open(&home).await);
        ([node.clone(), node], home)
    }

    sluice_subscriptions::subscriber_state_contract!(empty);
}

async fn open(home: &Home) -> SqliteSubscribers {
    SqliteSubscribers::open(&home.data).await.unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash() {
    let home = Home::new();
    let subscribers = open(&home).await;
    let nurse = Subscriber {
        tenant: "acme".parse().unwrap(),
        user: "u-nurse".parse().unwrap(),
        name: "tasks".parse().unwrap(),
    };
    let cursor = Cursor { epoch: Epoch(7), vector: ReadVector(vec![3, 4]) };
    subscribers.acknowledge(&nurse, &cursor).await.unwrap();
    let crashed = home.after_crash(SCHEMA.file);
    assert_eq!(open(&crashed).await.last(&nurse).await.unwrap(), Some(cursor));
}
