//! A long poll: a subscription that lives until it has something, or the wait is over.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use sluice_schema::{
    error::ClientError,
    position::{Cursor, ReadVector},
};
use tokio::sync::Notify;

use super::{Engine, Subscribe};
use crate::deliver::{Gone, Subscriber};

/// How many events one answer holds at most.
const EVENTS: usize = 100;

/// How long a poll whose time is up may still take to read what was there before it began.
const CATCH_UP: Duration = Duration::from_secs(2);

/// What a poll got.
#[derive(Debug, Clone)]
pub struct Polled {
    /// Rendered, in order; each is one JSON object with its own cursor.
    pub events: Vec<Bytes>,
    /// Where to go on: behind the last event, or, where there is none, further than before all the same.
    pub cursor: Cursor,
}

/// Gathers what is delivered.
#[derive(Default)]
struct Gathered {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    events: Vec<Bytes>,
    place: Option<ReadVector>,
    full: bool,
    ended: Option<ClientError>,
}

impl Gathered {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
        result
    }
}

impl Subscriber for Gathered {
    fn next(&self, payload: &Bytes, place: &ReadVector) -> Result<(), Gone> {
        self.with(|state| {
            if state.events.len() == EVENTS {
                state.full = true;
                return Err(Gone::Lagging);
            }
            state.events.push(payload.clone());
            state.place = Some(place.clone());
            Ok(())
        })
    }

    fn end(&self, error: Option<ClientError>) {
        self.with(|state| state.ended = error);
    }
}

impl Engine {
    /// Waits for at least one event that the viewer may see, `wait` at most. `make` makes the subscription around the
    /// subscriber that gathers.
    ///
    /// # Errors
    /// As [`Engine::subscribe`], and whatever ended the subscription while it waited.
    pub async fn poll(
        &self,
        wait: Duration,
        make: impl FnOnce(Arc<dyn Subscriber>) -> Subscribe,
    ) -> Result<Polled, ClientError> {
        let gathered = Arc::new(Gathered::default());
        let handle = self.subscribe(make(gathered.clone())).await?;
        if tokio::time::timeout(wait, gathered.changed.notified()).await.is_err() {
            // The time is up. What was there before it began is an answer even to one who does not wait.
            let there = async {
                let all = async { tokio::join!(self.settled(CATCH_UP), handle.caught_up()) };
                tokio::select! {
                    () = gathered.changed.notified() => {}
                    _ = all => {}
                }
            };
            let _ = tokio::time::timeout(CATCH_UP, there).await;
        }
        let end = handle.finish().await;
        gathered.with(|state| {
            let is_cut_off = state.ended.is_some();
            match state.ended.take() {
                Some(error) if state.events.is_empty() => Err(error),
                _ => {
                    let mut cursor = end;
                    match state.place.take() {
                        // What ended it was not given: the next one is told that.
                        Some(last) if state.full || is_cut_off => cursor.vector = last,
                        Some(last) => cursor.vector.join(&last),
                        None => {}
                    }
                    Ok(Polled { events: std::mem::take(&mut state.events), cursor })
                }
            }
        })
    }
}
