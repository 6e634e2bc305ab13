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

    pub(super) fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}
