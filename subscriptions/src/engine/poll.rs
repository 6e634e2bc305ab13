//! A long poll: a subscription that lives until it has something, or the wait is over.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use sluice_schema::{
    error::ClientError,
    position::{Cursor, ReadVector},
    viewer::Viewer,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{Engine, Start, Subscribe};
use crate::{
    access::{Access, Affected},
    deliver::{Gone, Subscriber},
};

/// How many events one answer holds at most.
const EVENTS: usize = 100;

/// How often what was gathered may be overtaken by a change of who may see what before it is answered.
const TRIES: usize = 8;

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
struct Gathered {
    access: Arc<Access>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    events: Vec<Bytes>,
    place: Option<ReadVector>,
    full: bool,
    /// [`Access::told`] when the first of the events came.
    told: u64,
    ended: Option<ClientError>,
}

impl Gathered {
    fn new(access: Arc<Access>) -> Self {
        Self { access, state: Mutex::default(), changed: Notify::new() }
    }

    /// Whether some of it may not be for this viewer any more.
    fn is_overtaken(&self, viewer: &Viewer) -> bool {
        let first = self.with(|state| (!state.events.is_empty()).then_some(state.told));
        let touched = first.map(|told| self.access.told_since(told)).unwrap_or_default();
        Affected::by(&touched).includes_some_of(viewer)
    }

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
            if state.events.is_empty() {
                state.told = self.access.told();
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
        make: impl Fn(Arc<dyn Subscriber>) -> Subscribe,
    ) -> Result<Polled, ClientError> {
        // However often it begins, it begins at the same place.
        let (until, live) = (Instant::now() + wait, Start::Snapshot { from: self.place(), state: None });
        for _ in 0..TRIES {
            let gathered = Arc::new(Gathered::new(self.shared.parts.access.clone()));
            let mut subscribe = make(gathered.clone());
            let viewer = subscribe.viewer.clone();
            if matches!(subscribe.start, Start::Live) {
                subscribe.start = live.clone();
            }
            let end = self.gather(until, subscribe, &gathered).await?;
            if !gathered.is_overtaken(&viewer) {
                return gathered.with(|state| state.answer(end));
            }
        }
        Err(ClientError::unavailable())
    }

    /// Gives where it ended.
    async fn gather(&self, until: Instant, subscribe: Subscribe, gathered: &Gathered) -> Result<Cursor, ClientError> {
        let handle = self.begin(subscribe, None).await?;
        if timeout_at(until, gathered.changed.notified()).await.is_err() {
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
        Ok(handle.finish().await)
    }
}

impl State {
    /// `end`: where the subscription ended.
    fn answer(&mut self, end: Cursor) -> Result<Polled, ClientError> {
        let ended = self.ended.take();
        let mut cursor = end;
        match (self.place.take(), ended) {
            (None, Some(error)) => return Err(error),
            (None, None) => {}
            // What it was not given lies behind that, if it is what ended it: the next poll is told.
            (Some(last), Some(_)) => cursor.vector = last,
            (Some(last), None) if self.full => cursor.vector = last,
            (Some(last), None) => cursor.vector.join(&last),
        }
        Ok(Polled { events: std::mem::take(&mut self.events), cursor })
    }
}

#[cfg(test)]
mod tests {
    use sluice_schema::position::Epoch;

    use super::*;

    fn at(seqs: [u64; 2]) -> Cursor {
        Cursor { epoch: Epoch(1), vector: ReadVector(seqs.into()) }
    }

    fn given(last: Option<[u64; 2]>, full: bool, ended: Option<ClientError>) -> State {
        let events = last.iter().map(|_| Bytes::from_static(b"{}")).collect();
        State { events, place: last.map(|last| at(last).vector), full, told: 0, ended }
    }

    #[test]
    fn the_cursor_lies_behind_all_that_was_given_and_before_all_that_was_not() {
        let cursor = |mut state: State| state.answer(at([5, 2])).map(|polled| polled.cursor);
        let ended = || Some(ClientError::unavailable());
        assert_eq!(cursor(given(None, false, None)), Ok(at([5, 2])));
        assert_eq!(cursor(given(Some([3, 2]), false, None)), Ok(at([5, 2])), "what else there was is not for it");
        assert_eq!(cursor(given(Some([3, 4]), false, None)), Ok(at([5, 4])));
        assert_eq!(cursor(given(Some([3, 2]), true, None)), Ok(at([3, 2])), "there is more");
        assert_eq!(
            cursor(given(Some([3, 2]), false, ended())),
            Ok(at([3, 2])),
            "it ended at one that it was not given"
        );
        assert_eq!(cursor(given(None, false, ended())), Err(ClientError::unavailable()));
    }
}
