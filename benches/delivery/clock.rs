//! The clock that all processes of a run share: CLOCK_MONOTONIC counts from the machine's start.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

#[expect(clippy::disallowed_methods, reason = "the thread has nothing else to do, and no runtime")]
pub(crate) fn sleep_until(due: u64) {
    std::thread::sleep(std::time::Duration::from_nanos(due.saturating_sub(now())));
}
