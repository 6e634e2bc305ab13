//! What libFuzzer tells: much, and of it a person wants how far it came, or what it found.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::text;

/// Lines of a panic that are told; a message may quote a long input.
const LINES: usize = 12;

/// A log that was read.
pub(super) struct Told(String);

impl Told {
    pub(super) fn read(log: &Path) -> Self {
        Self(String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned())
    }

    fn behind(&self, words: &str) -> Option<&str> {
        self.0.lines().rev().find_map(|line| line.split_once(words)).map(|(_, rest)| rest.trim())
    }

    pub(super) fn summary(&self) -> String {
        let inputs = self.behind("stat::number_of_executed_units:").unwrap_or("an unknown number of");
        let branches = self.behind(" cov: ").and_then(|rest| rest.split(' ').next()).unwrap_or("an unknown number of");
        format!("{inputs} inputs, {branches} branches reached, nothing found")
    }

    /// What was found, as text, and how to see it again; or what else ended it.
    pub(super) fn failure(&self, name: &str, why: String, binary: &Path) -> String {
        let Some(input) = self.behind("Test unit written to ").map(PathBuf::from) else {
            return why;
        };
        let bytes = fs::read(&input).unwrap_or_default();
        format!(
            "fuzz {name} found an input: {}\n    it is: {}\n    again: {} {}",
            self.complaint(),
            text::escaped(&bytes),
            binary.display(),
            input.display()
        )
    }

    /// The panic's message; where nothing panicked, libFuzzer's own (too slow, too much memory).
    fn complaint(&self) -> String {
        let lines: Vec<&str> = self.0.lines().skip_while(|line| !line.contains("panicked at")).collect();
        let is_message = |line: &&&str| !(line.starts_with("note: ") || line.starts_with("stack backtrace"));
        let panic: Vec<&str> = lines.iter().take_while(is_message).take(LINES).copied().collect();
        let own = || self.behind("ERROR: libFuzzer: ").unwrap_or("see its log").to_owned();
        if panic.is_empty() { own() } else { panic.join("\n    ").trim().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Told;

    #[test]
    fn how_far_it_came() {
        let log = "#2\tINITED cov: 12 ft: 13\n#900\tDONE   cov: 120 ft: 200 corp: 3/4b\nstat::number_of_executed_units: 900\n";
        assert_eq!(Told(log.to_owned()).summary(), "900 inputs, 120 branches reached, nothing found");
    }

    #[test]
    fn what_it_found_is_told_with_how_to_repeat_it() {
        let dir = tempfile::tempdir().unwrap();
        let input = dir.path().join("crash-1");
        std::fs::write(&input, b"\x81/").unwrap();
        let log = format!(
            "\nthread '<unnamed>' panicked at a.rs:1:2:\nleft is not right\nnote: run with\n==1== ERROR: libFuzzer: deadly \
             signal\nTest unit written to {}\n",
            input.display()
        );
        let failure = Told(log).failure("frame", "it ended".to_owned(), Path::new("bin/frame"));
        assert!(failure.contains("a.rs:1:2:\n    left is not right\n    it is: \\x81/\n"), "{failure}");
        assert!(failure.ends_with(&format!("again: bin/frame {}", input.display())), "{failure}");
    }

    #[test]
    fn without_a_panic_it_is_libfuzzers_word() {
        let log = "==1== ERROR: libFuzzer: timeout after 10 seconds\nTest unit written to none\n";
        let failure = Told(log.to_owned()).failure("frame", "it ended".to_owned(), Path::new("bin"));
        assert!(failure.contains("found an input: timeout after 10 seconds\n"), "{failure}");
    }
}
