//! Waiting for what does not tell by itself: a file, a log, the end of a process.

use std::time::{Duration, Instant};

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Looks until there is something, or the time is over.
#[expect(clippy::disallowed_methods, reason = "no runtime here: threads that wait have nothing else to do")]
pub(crate) fn until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        match look() {
            Some(found) => return Some(found),
            None if begun.elapsed() > limit => return None,
            None => std::thread::sleep(LOOK_AGAIN),
        }
    }
}
