//! The report's frame: on what it was measured, and where it goes.

use std::{fmt::Write, fs, path::Path, process::Command};

use crate::{finding::Finding, naive, plan::Plan, raw_task, report, scenarios::Group};

const BEGIN: &str = "<!-- delivery: begin, written by `cargo xtask bench delivery --write` -->";
const END: &str = "<!-- delivery: end -->";

/// All of the figures, as they stand in docs/benchmarks.md.
pub(crate) fn text(plan: &Plan, findings: &[Finding], groups: &[Group], seconds: f64) -> String {
    let mut text = machine(plan, seconds);
    let _ = writeln!(text, "\n{}", report::goals(findings));
    text + &report::tables(groups)
}

fn machine(plan: &Plan, seconds: f64) -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let node =
        Command::new("node").arg("--version").output().map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    let rustc =
        Command::new("rustc").arg("--version").output().map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    let rows = [
        ("date", jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()),
        ("processor", format!("{}, {cores} cores, shared by servers and clients", model.unwrap_or("unknown"))),
        ("system", format!("Linux {}", kernel.trim())),
        ("Rust", rustc.unwrap_or_default().trim().to_owned()),
        (
            "run",
            format!(
                "{} rounds, {seconds:.0} s, load average at its end {}",
                plan.rounds,
                load.split(' ').next().unwrap_or_default()
            ),
        ),
        (
            "sluice",
            format!(
                "{}, embedded parts, all defaults, the log in memory (`sluice-stored`: the store); mimalloc, as all servers in Rust here",
                env!("CARGO_PKG_VERSION")
            ),
        ),
        (
            "raw-task",
            format!(
                "tokio-tungstenite 0.29 at its defaults (`raw-task-small`: buffers of 4 KiB; `fastwebsockets`: 0.10; `yawc`: 0.5; `bare-task`: ready frames), `TCP_NODELAY`; a broadcast channel of {} for each path",
                raw_task::CAPACITY
            ),
        ),
        (
            "naive",
            format!(
                "async-graphql-axum 7.2.1 at its defaults, `TCP_NODELAY`; one broadcast channel of {}",
                naive::CAPACITY
            ),
        ),
        (
            "node",
            format!(
                "{}, graphql-ws 6.4.2, ws 8.23.0, graphql 16.15.0, `NODE_ENV=production`, `perMessageDeflate: false`",
                node.unwrap_or_default().trim()
            ),
        ),
    ];
    rows.iter()
        .fold("| | |\n| --- | --- |\n".to_owned(), |text, (name, value)| text + &format!("| {name} | {value} |\n"))
}

/// Puts it between the marks.
pub(crate) fn write(text: &str) -> Result<(), String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    let page = fs::read_to_string(&file).map_err(|error| error.to_string())?;
    let parts = page.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, behind) = parts.ok_or("docs/benchmarks.md has no marks for the figures")?;
    let page = format!("{before}{BEGIN}\n\n{}\n\n{END}{behind}", text.trim());
    fs::write(&file, page).map_err(|error| error.to_string())
}
