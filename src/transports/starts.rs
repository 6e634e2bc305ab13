//! When a subscription begins: a crowd in its order, and nobody far ahead of it by asking for much.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sluice_schema::viewer::Viewer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::viewers::{Key, key};

/// A crowd that comes back at once takes its time: more at once would be no quicker, and hold more memory.
const AT_ONCE: usize = 64;

/// How many of them are one viewer's, those that wait in the common order counted in: whoever comes behind waits for few of
/// hers, however many she asks for.
const OF_ONE: usize = 8;

/// On all sockets together.
pub(super) struct Starts {
    at_once: Semaphore,
    /// Those who start something now.
    viewers: Mutex<HashMap<Key, Line>>,
}

/// One viewer's own order. There only while somebody stands in it.
struct Line {
    semaphore: Arc<Semaphore>,
    standing: usize,
}

/// A subscription may begin while this is kept.
pub(super) struct Turn<'a> {
    _at_once: SemaphorePermit<'a>,
    _of_hers: OwnedSemaphorePermit,
    _place: Place<'a>,
}

struct Place<'a> {
    starts: &'a Starts,
    key: Key,
}

impl Starts {
    pub(super) fn new() -> Self {
        Self { at_once: Semaphore::new(AT_ONCE), viewers: Mutex::default() }
    }

    /// Waits for the viewer's turn. It may be dropped: then another's comes sooner. `None`: nothing begins any more.
    pub(super) async fn turn(&self, viewer: &Viewer) -> Option<Turn<'_>> {
        let (line, _place) = self.stand(viewer);
        let _of_hers = line.acquire_owned().await.ok()?;
        let _at_once = self.at_once.acquire().await.ok()?;
        Some(Turn { _at_once, _of_hers, _place })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Line>> {
        self.viewers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stand(&self, viewer: &Viewer) -> (Arc<Semaphore>, Place<'_>) {
        let key = key(viewer);
        let mut viewers = self.lock();
        let new = || Line { semaphore: Arc::new(Semaphore::new(OF_ONE)), standing: 0 };
        let line = viewers.entry(key.clone()).or_insert_with(new);
        line.standing += 1;
        (line.semaphore.clone(), Place { starts: self, key })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut line) = self.starts.lock().entry(self.key.clone()) {
            line.get_mut().standing -= 1;
            if line.get().standing == 0 {
                line.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::Pin,
        task::{Context, Poll, Waker},
    };

    use super::{super::viewers::tests::viewer, *};

    type Turns<'a> = Vec<Pin<Box<dyn Future<Output = Option<Turn<'a>>> + 'a>>>;

    fn ask<'a>(starts: &'a Starts, viewer: &'a Viewer, times: usize) -> Turns<'a> {
        (0..times).map(|_| Box::pin(starts.turn(viewer)) as _).collect()
    }

    /// Those whose turn it is; the others wait on.
    fn come<'a>(waiting: &mut Turns<'a>) -> Vec<Turn<'a>> {
        let (mut come, mut left) = (Vec::new(), Vec::new());
        for mut turn in waiting.drain(..) {
            match turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(turn) => come.extend(turn),
                Poll::Pending => left.push(turn),
            }
        }
        *waiting = left;
        come
    }

    #[test]
    fn who_asks_for_much_is_behind_who_asks_for_little() {
        let starts = Starts::new();
        let crowd: Vec<_> = (0..8).map(|user| viewer("north", &format!("u-{user}"))).collect();
        let mut all: Vec<_> = crowd.iter().map(|viewer| ask(&starts, viewer, 100)).collect();
        let mut begun = Vec::new();
        for waiting in &mut all {
            begun.push(come(waiting));
        }
        assert_eq!(begun.iter().map(Vec::len).collect::<Vec<_>>(), [OF_ONE; AT_ONCE / OF_ONE]);

        let otto = viewer("north", "otto");
        let mut his = ask(&starts, &otto, 1);
        assert_eq!(come(&mut his).len(), 0, "there are as many as may be");
        begun[0].pop();
        assert_eq!(come(&mut all[0]).len(), 0, "hers stand behind his");
        assert_eq!(come(&mut his).len(), 1);
    }

    #[test]
    fn nothing_is_kept_of_who_starts_nothing() {
        let starts = Starts::new();
        let nora = viewer("north", "nora");
        let mut waiting = ask(&starts, &nora, 20);
        let begun = come(&mut waiting);
        assert_eq!((begun.len(), starts.lock().len()), (OF_ONE, 1));
        drop(begun);
        assert_eq!(come(&mut waiting).len(), OF_ONE, "those who waited");
        drop(waiting);
        assert_eq!(starts.lock().len(), 0);
        assert_eq!(starts.at_once.available_permits(), AT_ONCE);
    }
}
