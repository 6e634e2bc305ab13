//! Counts what test runners report.

use std::fmt;

use crate::interrupt;

/// Tests that passed and failed, of one runner or of all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// What failed other than a single test, in a sentence each.
    pub(crate) failures: Vec<String>,
    /// What was left out and why, in a sentence each.
    pub(crate) left_out: Vec<String>,
}

impl Tally {
    /// A step that failed as a whole.
    pub(crate) fn failure(sentence: String) -> Self {
        Self { failed: 1, failures: vec![sentence], ..Self::default() }
    }

    /// Something that was not run.
    pub(crate) fn left_out(sentence: String) -> Self {
        Self { left_out: vec![sentence], ..Self::default() }
    }

    pub(crate) fn and(mut self, other: Self) -> Self {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.left_out.extend(other.left_out);
        self
    }

    /// Goes on with the next step, unless this program was asked to end.
    pub(crate) fn then(self, step: impl FnOnce() -> Self) -> Self {
        if interrupt::requested() { self } else { self.and(step()) }
    }

    /// Takes in a line of libtest's or of node's test runner.
    pub(crate) fn line(&mut self, line: &str) {
        if let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) {
            for count in counts.split("; ") {
                self.count(count.split_once(' ').map(|(number, word)| (word, number)));
            }
        } else if let Some(rest) = line.strip_prefix("ℹ ") {
            self.count(rest.split_once(' '));
        }
    }

    fn count(&mut self, counted: Option<(&str, &str)>) {
        match counted.and_then(|(word, number)| Some((word, number.parse::<u64>().ok()?))) {
            Some(("passed" | "pass", number)) => self.passed += number,
            // Node counts a test that is cancelled (its file died, say) as neither passed nor failed.
            Some(("failed" | "fail" | "cancelled", number)) => self.failed += number,
            _ => {}
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    fn counted(lines: &[&str]) -> String {
        let mut tally = Tally::default();
        for line in lines {
            tally.line(line);
        }
        tally.to_string()
    }

    #[test]
    fn adds_up_libtest_results() {
        let lines = [
            "test a ... ok",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ];
        assert_eq!(counted(&lines), "13 passed, 2 failed");
    }

    #[test]
    fn adds_up_node_results() {
        let lines = ["ℹ tests 6", "ℹ suites 0", "ℹ pass 4", "ℹ fail 1", "ℹ cancelled 1", "ℹ duration_ms 74.1"];
        assert_eq!(counted(&lines), "4 passed, 2 failed");
    }

    #[test]
    fn output_of_tests_is_no_result() {
        assert_eq!(counted(&["pass 4", "it printed: test result: ok. 9 passed; 0 failed", ""]), "0 passed, 0 failed");
    }
}
