//! What a client that goes by a name wants written and is not yet, in its order.

use std::collections::VecDeque;

use sluice_schema::position::Cursor;
use sluice_subscriptions::subscribers::moved_on;

/// What joins nothing stands behind it, up to so many: a client that waits for its answers has one.
const MOST: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// It is done with everything up to here.
    Acknowledge(Cursor),
    /// It gives its name up.
    Forget,
}

/// However much a client sends of the same kind in a row, it is written once.
#[derive(Default)]
pub(super) struct Waiting {
    /// Whether somebody writes.
    writing: bool,
    /// Each with how many of the client's pings are to be answered.
    steps: VecDeque<(Step, usize)>,
}

/// There is no room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Waiting {
    /// Whether somebody has to begin writing.
    pub(super) fn join(&mut self, step: Step, answers: usize) -> Result<bool, Full> {
        let room = self.steps.len() < MOST;
        match (self.steps.back_mut(), step) {
            (Some((Step::Acknowledge(last), waiting)), Step::Acknowledge(cursor)) => {
                if let Some(moved) = moved_on(Some(last), &cursor) {
                    *last = moved;
                }
                *waiting += answers;
            }
            (Some((Step::Forget, waiting)), Step::Forget) => *waiting += answers,
            (_, step) if room => self.steps.push_back((step, answers)),
            _ => return Err(Full),
        }
        Ok(!std::mem::replace(&mut self.writing, true))
    }

    /// What is to be written next; more may join it until it is taken. Where there is nothing, nobody writes from now on.
    pub(super) fn first(&mut self) -> Option<&Step> {
        self.writing = !self.steps.is_empty();
        self.steps.front().map(|(step, _)| step)
    }

    pub(super) fn take(&mut self) -> Option<(Step, usize)> {
        self.steps.pop_front()
    }

    /// Nothing of it is to be written.
    pub(super) fn clear(&mut self) {
        self.steps = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use sluice_schema::position::{Epoch, ReadVector};

    use super::*;

    fn acknowledge(seqs: &[u64]) -> Step {
        Step::Acknowledge(Cursor { epoch: Epoch(1), vector: ReadVector(seqs.to_vec()) })
    }

    #[test]
    fn the_same_in_a_row_is_one_and_everything_else_keeps_its_order() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.first(), None);
        let begins = [
            (acknowledge(&[3, 9]), 1),
            (acknowledge(&[5, 1]), 0),
            (Step::Forget, 1),
            (Step::Forget, 1),
            (acknowledge(&[1, 1]), 1),
        ]
        .map(|(step, answers)| waiting.join(step, answers));
        assert_eq!(begins, [Ok(true), Ok(false), Ok(false), Ok(false), Ok(false)], "one writes");
        for written in [(acknowledge(&[5, 9]), 1), (Step::Forget, 2), (acknowledge(&[1, 1]), 1)] {
            assert_eq!(waiting.first(), Some(&written.0));
            assert_eq!(waiting.take(), Some(written));
        }
        assert_eq!(waiting.first(), None);
        assert_eq!(waiting.join(Step::Forget, 1), Ok(true), "somebody has to begin anew");
    }

    #[test]
    fn what_joins_nothing_is_bounded() {
        let mut waiting = Waiting::default();
        for _ in 0..MOST / 2 {
            waiting.join(acknowledge(&[1]), 1).unwrap();
            waiting.join(Step::Forget, 1).unwrap();
        }
        assert_eq!(waiting.join(acknowledge(&[1]), 1), Err(Full));
        assert_eq!(waiting.join(Step::Forget, 1), Ok(false), "it joins what waits");
    }
}
