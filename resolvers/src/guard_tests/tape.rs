//! Random choices that shrink well: an exhausted tape gives the least of everything.

use std::collections::VecDeque;

pub(super) struct Tape(VecDeque<u8>);

impl Tape {
    pub(super) fn new(choices: &[u8]) -> Self {
        Self(choices.iter().copied().collect())
    }

    /// Less than `count`, which is not 0.
    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::from(self.0.pop_front().unwrap_or(0)) % count
    }

    pub(super) fn one_of<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.below(choices.len())]
    }
}
