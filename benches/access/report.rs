//! The figures, beside their goals.

use std::fmt::Write as _;

pub(crate) struct Report {
    rows: String,
}

impl Report {
    pub(crate) fn new(real: bool) -> Self {
        let parts = if real { "PostgreSQL, Kafka, SpiceDB" } else { "embedded parts" };
        Self { rows: format!("{parts}\n\n| figure | goal | measured | |\n| --- | --- | --- | --- |\n") }
    }

    /// One value, which is to be no more than the goal.
    pub(crate) fn figure(&mut self, what: &str, unit: &str, goal: f64, value: f64) {
        let _ = writeln!(self.rows, "| {what} | ≤ {goal} {unit} | {value:.1} {unit} | {} |", verdict(goal, value));
        eprintln!("{what}: {value:.1} {unit}");
    }

    /// Milliseconds, whose 99th percentile is to be no more than the goal; NaN: none is set.
    pub(crate) fn since(&mut self, what: &str, goal: f64, mut values: Vec<f64>) {
        values.sort_by(f64::total_cmp);
        let at = |part: usize| values.get(values.len() * part / 100).or(values.last()).copied().unwrap_or(f64::NAN);
        let beyond = values.iter().filter(|value| **value > goal).count();
        let none = values.iter().filter(|value| **value == 0.0).count();
        let (p50, p99, max) = (at(50), at(99), values.last().copied().unwrap_or(f64::NAN));
        let wanted = if goal.is_nan() { "–".to_owned() } else { format!("p99 ≤ {goal} ms") };
        let beyond = if goal.is_nan() { String::new() } else { format!(", {beyond} beyond the goal") };
        let measured =
            format!("p50 {p50:.1}, p99 {p99:.1}, max {max:.1} ms of {} ({none} at once{beyond})", values.len());
        let _ = writeln!(self.rows, "| {what} | {wanted} | {measured} | {} |", verdict(goal, p99));
        eprintln!("{what}: {measured}");
    }

    pub(crate) fn load(&mut self, rate: f64) {
        let _ = writeln!(self.rows, "| events appended meanwhile | – | {rate:.0} /s, each to ten viewers | |");
    }

    pub(crate) fn print(&self) {
        println!("{}", self.rows);
    }
}

fn verdict(goal: f64, value: f64) -> &'static str {
    match () {
        () if goal.is_nan() => "",
        () if value <= goal => "met",
        () => "**missed**",
    }
}
