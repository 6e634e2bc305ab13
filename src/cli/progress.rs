//! A bar on a terminal, and nothing elsewhere.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

const STYLE: &str = "{bar:40} {human_pos} of {human_len} records, {per_second}, {eta} left";

/// Of `total` records, on stderr. It is gone when it is dropped, so that what follows stands alone.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn of(total: u64) -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr_with_hz(10),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        // The template is ours, and a test reads it.
        if let Ok(style) = style() {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Some more may have come since the total was counted.
    pub(super) fn reached(&self, records: u64) {
        self.0.set_length(self.0.length().unwrap_or_default().max(records));
        self.0.set_position(records);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style() -> Result<ProgressStyle, indicatif::style::TemplateError> {
    let per_second = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // It writes to a text.
        let _ = write!(out, "{:.0} a second", state.per_sec());
    };
    Ok(ProgressStyle::with_template(STYLE)?.with_key("per_second", per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_form_can_be_read_and_it_takes_more_than_the_total() {
        style().unwrap();
        let progress = Progress::of(10);
        progress.reached(12);
        assert_eq!((progress.0.position(), progress.0.length()), (12, Some(12)));
    }
}
