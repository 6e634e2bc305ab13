//! How much may wait to be sent to all clients of a process together.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that wait, and the most that may.
#[derive(Debug)]
pub(in super::super) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(in super::super) fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0) }
    }

    /// Whether there is room for so much. Those who ask at once may together go past it by what each of them adds.
    pub(super) fn has(&self, bytes: usize) -> bool {
        self.used.load(Ordering::Relaxed).saturating_add(bytes) <= self.limit
    }

    /// One of the queues holds so much now, and held so much before.
    pub(super) fn changed(&self, before: usize, now: usize) {
        if now > before {
            self.used.fetch_add(now - before, Ordering::Relaxed);
        } else if now < before {
            self.used.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}
