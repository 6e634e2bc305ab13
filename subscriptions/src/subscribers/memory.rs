//! Subscribers in memory, for tests.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use sluice_schema::position::Cursor;

use super::{MAX_NAMES, Subscriber, SubscriberState, SubscribersError, moved_on};

#[derive(Default)]
pub struct MemorySubscribers {
    cursors: Mutex<HashMap<Subscriber, Cursor>>,
}

impl MemorySubscribers {
    fn cursors(&self) -> MutexGuard<'_, HashMap<Subscriber, Cursor>> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SubscriberState for MemorySubscribers {
    async fn acknowledge(&self, subscriber: &Subscriber, cursor: &Cursor) -> Result<(), SubscribersError> {
        let mut cursors = self.cursors();
        let of_the_user = |kept: &&Subscriber| kept.tenant == subscriber.tenant && kept.user == subscriber.user;
        if !cursors.contains_key(subscriber) && cursors.keys().filter(of_the_user).count() >= MAX_NAMES {
            return Err(SubscribersError::TooManyNames);
        }
        if let Some(moved) = moved_on(cursors.get(subscriber), cursor) {
            cursors.insert(subscriber.clone(), moved);
        }
        Ok(())
    }

    async fn last(&self, subscriber: &Subscriber) -> Result<Option<Cursor>, SubscribersError> {
        Ok(self.cursors().get(subscriber).cloned())
    }

    async fn forget(&self, subscriber: &Subscriber) -> Result<(), SubscribersError> {
        self.cursors().remove(subscriber);
        Ok(())
    }
}
