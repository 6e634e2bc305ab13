//! The figures as markdown, ready for docs/benchmarks.md.

use std::fmt::Write;

use crate::{
    finding::Finding,
    scenarios::{Group, Row},
    spread::Spread,
};

/// Microseconds for each delivery.
fn costs(row: &Row) -> Vec<f64> {
    row.samples.iter().map(crate::contender::Sample::cost).collect()
}

pub(crate) fn find<'g>(groups: &'g [Group], key: &str, name: &str) -> Option<&'g Row> {
    groups.iter().find(|group| group.key == key)?.rows.iter().find(|row| row.kind.name == name)
}

/// Round by round, what one costs against another.
pub(crate) fn ratio(of: &Row, to: &Row) -> Option<Spread> {
    Spread::of(costs(of).into_iter().zip(costs(to)).map(|(of, to)| of / to))
}

/// One table for each load.
pub(crate) fn tables(groups: &[Group]) -> String {
    let mut text = String::new();
    for group in groups {
        let base = group.rows.iter().find(|row| row.kind.name == "raw");
        let _ = writeln!(text, "\n**{}**\n", group.title);
        let _ = writeln!(
            text,
            "| server | CPU µs per delivery | × raw | lost | p50 ms | p99 ms | bytes | KiB per socket |"
        );
        let _ = writeln!(text, "| --- | --- | --- | --- | --- | --- | --- | --- |");
        for row in &group.rows {
            let _ = writeln!(text, "{}", line(row, base));
        }
    }
    text
}

fn line(row: &Row, base: Option<&Row>) -> String {
    let spread = |figure: fn(&crate::contender::Sample) -> f64| {
        Spread::of(row.samples.iter().map(figure)).map_or("–".into(), |spread| spread.text())
    };
    let (lost, expected) =
        row.samples.iter().fold((0, 0), |(lost, expected), one| (lost + one.lost, expected + one.expected));
    let faults: u64 = row.samples.iter().map(|one| one.repeated + one.wrong).sum();
    let lost = match (lost, faults) {
        (0, 0) => "0".into(),
        (lost, 0) => format!("{lost} of {expected}"),
        (lost, faults) => format!("{lost} of {expected}; {faults} wrong"),
    };
    let times = base.and_then(|base| ratio(row, base)).map_or("–".into(), |spread| spread.text());
    let resident = row.per_socket_kib();
    format!(
        "| {} | {} | {times} | {lost} | {} | {} | {:.0} | {resident:.1} |",
        row.kind.name,
        spread(crate::contender::Sample::cost),
        spread(|one| one.p50_ms),
        spread(|one| one.p99_ms),
        row.samples.last().map_or(0.0, |last| last.bytes),
    )
}

/// A goal: what one may cost against another.
struct Goal {
    what: &'static str,
    key: &'static str,
    of: &'static str,
    to: &'static str,
    at_most: f64,
}

const GOALS: [Goal; 8] = [
    goal("server CPU per delivery: fan-out, one class, paced, against raw", "fan-out-1k/paced", "sluice", "raw", 1.25),
    goal("… 5,000 sockets", "fan-out-5k/paced", "sluice", "raw", 1.25),
    goal("… in bursts", "fan-out-1k/burst", "sluice", "raw", 0.3),
    goal("… four classes, paced", "fan-out-1k/paced", "sluice-4", "raw", 1.4),
    goal("… paced, against naive", "fan-out-1k/paced", "sluice", "naive", 0.25),
    goal("own channels, burst, against naive", "own-channel-5k/burst", "sluice", "naive", 1.0 / 25.0),
    goal("… against node", "own-channel-5k/burst", "sluice", "node", 1.0 / 6.0),
    goal("with access against without, fan-out, paced", "fan-out-1k/paced", "sluice", "sluice-no-access", 1.1),
];

const fn goal(what: &'static str, key: &'static str, of: &'static str, to: &'static str, at_most: f64) -> Goal {
    Goal { what, key, of, to, at_most }
}

/// What came of the goals for costs, round by round.
pub(crate) fn findings(groups: &[Group]) -> Vec<Finding> {
    let against = |Goal { what, key, of, to, at_most }: &Goal| {
        let (of, to) = find(groups, key, of).zip(find(groups, key, to))?;
        let figures = costs(of).into_iter().zip(costs(to)).map(|(of, to)| of / to).collect();
        Some(Finding { what: (*what).into(), at_most: Some(*at_most), figures, unit: "" })
    };
    GOALS.iter().filter_map(against).chain(resident(groups)).collect()
}

/// What an idle subscribed connection holds.
fn resident(groups: &[Group]) -> Option<Finding> {
    let row = find(groups, "own-channel-20k/burst", "sluice")?;
    let what = format!("resident memory per idle subscribed connection, {} viewers, tokens and members", row.sockets);
    Some(Finding { what, at_most: Some(8.0), figures: vec![row.per_socket_kib()], unit: " KiB" })
}

pub(crate) fn goals(findings: &[Finding]) -> String {
    let head = "| figure | goal | median (min–max) | |\n| --- | --- | --- | --- |";
    findings.iter().filter_map(Finding::line).fold(head.to_owned(), |text, line| text + "\n" + &line) + "\n"
}
