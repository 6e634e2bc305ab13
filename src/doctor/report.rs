use std::fmt;

/// What was found about one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    mark: Mark,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Well,
    Fair,
    Bad,
}

impl Finding {
    /// As it should be.
    pub(crate) fn well(text: impl Into<String>) -> Self {
        Self { mark: Mark::Well, text: text.into() }
    }

    /// It works, and should be mended all the same.
    pub(crate) fn fair(text: impl Into<String>) -> Self {
        Self { mark: Mark::Fair, text: text.into() }
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Sluice can't work with it; the text says what to do.
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self { mark: Mark::Bad, text: text.into() }
    }
}

/// All findings, in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<(&'static str, Finding)>);

impl Report {
    pub(crate) fn add(&mut self, part: &'static str, finding: Finding) {
        self.0.push((part, finding));
    }

    /// Whether a start would succeed, as far as can be seen.
    pub(crate) fn is_sound(&self) -> bool {
        self.0.iter().all(|(_, finding)| finding.mark != Mark::Bad)
    }
}

/// A line for each finding: how it is, the part, what was found.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (part, Finding { mark, text }) in &self.0 {
            let mark = match mark {
                Mark::Well => "ok",
                Mark::Fair => "note",
                Mark::Bad => "BAD",
            };
            writeln!(f, "{mark:<5} {part:<14} {text}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_finding_is_enough_and_a_note_is_none() {
        let mut report = Report::default();
        report.add("Store", Finding::well("15.18"));
        report.add("Tokens", Finding::fair("signed here"));
        assert!(report.is_sound());
        report.add("Log", Finding::bad("away"));
        assert!(!report.is_sound());
        assert_eq!(report.to_string().lines().nth(2), Some("BAD   Log            away"));
    }
}
