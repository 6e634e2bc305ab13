//! Random choices that shrink well: an exhausted tape gives the least of everything.

#[derive(Debug, Clone, Default)]
pub(super) struct Tape(std::vec::IntoIter<u8>);

impl Tape {
    pub(super) fn new(choices: &[u8]) -> Self {
        Self(choices.to_vec().into_iter())
    }

    /// Less than `count`, which is not 0.
    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::from(self.0.next().unwrap_or(0)) % count
    }

    pub(super) fn one_of<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.below(choices.len())]
    }
}
